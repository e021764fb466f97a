"""What is created beside executions: state machines with their versions and aliases, activities, and their tags.

Kept as documents of the store, so a change is durable when its call returns, and two changes of one state machine
never overwrite each other. Nothing here starts or stops anything.
"""

from treadle.catalog.activities import Activities
from treadle.catalog.aliases import Aliases
from treadle.catalog.arns import Arn, parse_arn
from treadle.catalog.machines import Machines, Settings
from treadle.catalog.records import Activity, Alias, Machine, Revision, Route, Version
from treadle.catalog.tags import Tags

__all__ = [
    "Activities",
    "Activity",
    "Alias",
    "Aliases",
    "Arn",
    "Machine",
    "Machines",
    "Revision",
    "Route",
    "Settings",
    "Tags",
    "Version",
    "parse_arn",
]
