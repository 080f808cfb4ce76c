"""The main job shown end to end: a real Airflow and the emulator as processes of this machine.

`services` starts and stops them, `airflow_api` talks to Airflow, `display` shows the tasks while they run and `report`
says what came of them. It meets the emulator and Airflow only as a user does: over HTTP.
"""
