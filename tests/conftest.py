"""Its being here puts this folder on the import path of every test, so that tests can share `cases`; and what every
test may ask for."""

from local_cloud import local_cloud as local_cloud
