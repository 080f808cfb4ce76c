"""`python -m airflow_azml.cli`."""

import sys

from airflow_azml.cli.parser import main

sys.exit(main())
