"""The main job shown end to end: a real Airflow and the emulator as processes of this machine.

`services` starts and stops them, `airflow_api` talks to Airflow, `display` shows the tasks while they run and `report`
shows the result. The demo uses the emulator and Airflow as a user does: over HTTP.
"""
