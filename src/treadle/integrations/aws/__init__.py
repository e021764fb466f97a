"""AWS services as a Task calls them: `aws-sdk:*` with every action, and the optimised integrations.

What exists is read off botocore's own models at run time; nothing here lists services, actions or fields. In reading
order: `names` (how Step Functions spells them), `actions` (one action compiled: JSON in, JSON out), `sessions` (who
calls, and where), `failures` (what goes wrong, in AWS's words), then the integrations `sdk` and `optimised`, and
`jobs`, which waits for what `.sync` started.

botocore takes a third of a second to import, so it is imported when the first call is made.
"""

from treadle.integrations.aws.optimised import OptimisedIntegration
from treadle.integrations.aws.sdk import AwsSdkIntegration
from treadle.integrations.aws.sessions import AwsSessions, Keys

__all__ = ["AwsSdkIntegration", "AwsSessions", "Keys", "OptimisedIntegration"]
