terraform {
  required_version = ">= 1.6"
  required_providers {
    archive = { source = "hashicorp/archive", version = ">= 2.4" }
    aws     = { source = "hashicorp/aws", version = ">= 5.40" }
    random  = { source = "hashicorp/random", version = ">= 3.6" }
  }
}

locals {
  # One function each: what it is given, whose rights it has, where it logs.
  functions = {
    call = {
      role    = aws_iam_role.api_role.arn
      logs    = aws_cloudwatch_log_group.call_logs.name
      timeout = 50
      variables = {
        API_SECRET = aws_secretsmanager_secret.api_token.arn
        API_URL    = aws_apigatewayv2_api.api.api_endpoint
      }
    }
    callback = {
      role    = aws_iam_role.callback_role.arn
      logs    = aws_cloudwatch_log_group.callback_logs.name
      timeout = 30
      variables = {
        CALLBACK_SECRET   = aws_secretsmanager_secret.callback_token.arn
        TABLE             = aws_dynamodb_table.approvals.name
        APPROVED_STATUSES = join(",", var.approved_statuses)
        REJECTED_STATUSES = join(",", var.rejected_statuses)
      }
    }
    deployment = {
      role    = aws_iam_role.api_role.arn
      logs    = aws_cloudwatch_log_group.deployment_logs.name
      timeout = 30
      variables = {
        API_SECRET   = aws_secretsmanager_secret.api_token.arn
        DEPLOYMENTS  = aws_dynamodb_table.deployments.name
        ENVIRONMENTS = join(",", var.environments)
      }
    }
    notification = {
      role    = aws_iam_role.api_role.arn
      logs    = aws_cloudwatch_log_group.notification_logs.name
      timeout = 30
      variables = {
        API_SECRET    = aws_secretsmanager_secret.api_token.arn
        NOTIFICATIONS = aws_dynamodb_table.notifications.name
        TOPIC         = aws_sns_topic.stakeholders.arn
      }
    }
    sweep = {
      role    = aws_iam_role.callback_role.arn
      logs    = aws_cloudwatch_log_group.sweep_logs.name
      timeout = 50
      variables = {
        TABLE = aws_dynamodb_table.approvals.name
      }
    }
    validation = {
      role    = aws_iam_role.api_role.arn
      logs    = aws_cloudwatch_log_group.validation_logs.name
      timeout = 30
      variables = {
        API_SECRET = aws_secretsmanager_secret.api_token.arn
      }
    }
  }
  routes = toset(["callback", "deployment", "notification", "validation"])
}

resource "aws_s3_bucket" "bucket" {
  bucket_prefix = "${var.project_name}-"
}

resource "aws_s3_bucket_server_side_encryption_configuration" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "bucket" {
  bucket                  = aws_s3_bucket.bucket.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "bucket" {
  bucket = aws_s3_bucket.bucket.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "bucket_policy" {
  bucket = aws_s3_bucket.bucket.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.bucket.arn, "${aws_s3_bucket.bucket.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_dynamodb_table" "approvals" {
  name         = "${var.project_name}-approvals"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "story"
  range_key    = "execution"
  attribute {
    name = "story"
    type = "S"
  }
  attribute {
    name = "execution"
    type = "S"
  }
  attribute {
    name = "state"
    type = "S"
  }
  attribute {
    name = "lease"
    type = "N"
  }
  # Only a claim has a lease, so only claims are in it.
  global_secondary_index {
    name            = "claims"
    hash_key        = "state"
    range_key       = "lease"
    projection_type = "KEYS_ONLY"
  }
  ttl {
    attribute_name = "expires"
    enabled        = true
  }
  server_side_encryption {
    enabled = true
  }
  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_dynamodb_table" "deployments" {
  name         = "${var.project_name}-deployments"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "environment"
  range_key    = "package"
  attribute {
    name = "environment"
    type = "S"
  }
  attribute {
    name = "package"
    type = "S"
  }
  server_side_encryption {
    enabled = true
  }
  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_dynamodb_table" "notifications" {
  name         = "${var.project_name}-notifications"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "key"
  attribute {
    name = "key"
    type = "S"
  }
  ttl {
    attribute_name = "expires"
    enabled        = true
  }
  server_side_encryption {
    enabled = true
  }
  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_sns_topic" "stakeholders" {
  name              = "${var.project_name}-stakeholders"
  kms_master_key_id = "alias/aws/sns"
}

resource "random_password" "tokens" {
  for_each = toset(["api", "callback"])
  length   = 48
  special  = false
}

resource "aws_secretsmanager_secret" "api_token" {
  name_prefix = "${var.project_name}-api-"
  description = "The bearer token of the three APIs."
}

resource "aws_secretsmanager_secret" "callback_token" {
  name_prefix = "${var.project_name}-callback-"
  description = "The bearer token of the callback endpoint, and the key of its signatures."
}

# The first value only: a rotated one is not written over.
resource "aws_secretsmanager_secret_version" "api_token" {
  secret_id     = aws_secretsmanager_secret.api_token.id
  secret_string = random_password.tokens["api"].result
  lifecycle {
    ignore_changes = [secret_string, version_stages]
  }
}

resource "aws_secretsmanager_secret_version" "callback_token" {
  secret_id     = aws_secretsmanager_secret.callback_token.id
  secret_string = random_password.tokens["callback"].result
  lifecycle {
    ignore_changes = [secret_string, version_stages]
  }
}

data "archive_file" "functions" {
  type        = "zip"
  source_dir  = "${path.module}/../functions"
  output_path = "${path.root}/.terraform/${var.project_name}-functions.zip"
  excludes    = ["__pycache__"]
}

resource "aws_lambda_function" "functions" {
  for_each         = local.functions
  function_name    = "${var.project_name}-${each.key}"
  handler          = "${each.key}.handler"
  runtime          = var.lambda_runtime
  role             = each.value.role
  timeout          = each.value.timeout
  memory_size      = 256
  filename         = data.archive_file.functions.output_path
  source_code_hash = data.archive_file.functions.output_base64sha256
  environment {
    variables = each.value.variables
  }
  logging_config {
    log_format = "Text"
    log_group  = each.value.logs
  }
}

resource "aws_apigatewayv2_api" "api" {
  name          = var.project_name
  protocol_type = "HTTP"
  cors_configuration {
    allow_origins = [var.allowed_origin]
    allow_methods = ["POST"]
    allow_headers = ["authorization", "content-type", "idempotency-key"]
    max_age       = 600
  }
}

resource "aws_apigatewayv2_stage" "api" {
  api_id      = aws_apigatewayv2_api.api.id
  name        = "$default"
  auto_deploy = true
  default_route_settings {
    detailed_metrics_enabled = true
    throttling_burst_limit   = 100
    throttling_rate_limit    = 50
  }
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access_logs.arn
    format = jsonencode({
      request = "$context.requestId"
      at      = "$context.requestTime"
      from    = "$context.identity.sourceIp"
      route   = "$context.routeKey"
      status  = "$context.status"
      took    = "$context.responseLatency"
      error   = "$context.integrationErrorMessage"
    })
  }
}

resource "aws_apigatewayv2_integration" "functions" {
  for_each               = local.routes
  api_id                 = aws_apigatewayv2_api.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.functions[each.key].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "functions" {
  for_each  = local.routes
  api_id    = aws_apigatewayv2_api.api.id
  route_key = "POST /${each.key}"
  target    = "integrations/${aws_apigatewayv2_integration.functions[each.key].id}"
}

resource "aws_lambda_permission" "functions" {
  for_each      = local.routes
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.functions[each.key].function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.api.execution_arn}/*/POST/${each.key}"
}

resource "aws_cloudwatch_event_rule" "sweep_minute" {
  name                = "${var.project_name}-sweep"
  schedule_expression = "rate(1 minute)"
}

resource "aws_cloudwatch_event_target" "sweep_minute" {
  rule = aws_cloudwatch_event_rule.sweep_minute.name
  arn  = aws_lambda_function.functions["sweep"].arn
}

resource "aws_lambda_permission" "sweep_minute" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.functions["sweep"].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.sweep_minute.arn
}

# The definition is that of the SAM template, with the same substitutions.
resource "aws_sfn_state_machine" "workflow" {
  name     = var.project_name
  type     = "STANDARD"
  role_arn = aws_iam_role.workflow_role.arn
  definition = jsonencode(yamldecode(templatefile("${path.module}/../statemachine.asl.yaml", {
    Bucket       = aws_s3_bucket.bucket.id
    Table        = aws_dynamodb_table.approvals.name
    CallFunction = aws_lambda_function.functions["call"].arn
  })))
  tracing_configuration {
    enabled = true
  }
  # Without execution data: the task token stands in it.
  logging_configuration {
    level                  = "ALL"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.workflow_logs.arn}:*"
  }
}

resource "aws_cloudwatch_log_group" "workflow_logs" {
  name              = "/aws/vendedlogs/states/${var.project_name}"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "access_logs" {
  name              = "/${var.project_name}/access"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "call_logs" {
  name              = "/${var.project_name}/call"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "validation_logs" {
  name              = "/${var.project_name}/validation"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "deployment_logs" {
  name              = "/${var.project_name}/deployment"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "notification_logs" {
  name              = "/${var.project_name}/notification"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "callback_logs" {
  name              = "/${var.project_name}/callback"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_log_group" "sweep_logs" {
  name              = "/${var.project_name}/sweep"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_metric_alarm" "failed_workflows" {
  alarm_name          = "${var.project_name}-failed-workflows"
  alarm_description   = "A workflow failed."
  namespace           = "AWS/States"
  metric_name         = "ExecutionsFailed"
  dimensions          = { StateMachineArn = aws_sfn_state_machine.workflow.arn }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
}
