"""Pages for people, at the addresses that Azure ML studio has: what Airflow's links to the studio lead to.

They only read. Like the studio's own addresses they are no part of the API, so they take no token.
"""
