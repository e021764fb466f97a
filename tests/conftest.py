"""Its being here puts this folder on the import path of every test, so that tests can share `cases`."""
