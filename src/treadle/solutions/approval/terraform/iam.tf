data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  execution_arn = replace(aws_sfn_state_machine.workflow.arn, ":stateMachine:", ":execution:")
  lambda_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" },
    ]
  })
}

resource "aws_iam_role" "api_role" {
  name               = "${var.project_name}-api"
  assume_role_policy = local.lambda_trust
}

resource "aws_iam_role_policy" "api_role" {
  name = "api"
  role = aws_iam_role.api_role.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.api_token.arn
      },
      {
        Effect   = "Allow"
        Action   = "sns:Publish"
        Resource = aws_sns_topic.stakeholders.arn
      },
      {
        Effect   = "Allow"
        Action   = ["dynamodb:Query", "dynamodb:PutItem"]
        Resource = aws_dynamodb_table.deployments.arn
      },
      {
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
        Resource = aws_dynamodb_table.notifications.arn
      },
      {
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [
          "${aws_cloudwatch_log_group.call_logs.arn}:*",
          "${aws_cloudwatch_log_group.validation_logs.arn}:*",
          "${aws_cloudwatch_log_group.deployment_logs.arn}:*",
          "${aws_cloudwatch_log_group.notification_logs.arn}:*",
        ]
      },
    ]
  })
}

resource "aws_iam_role" "callback_role" {
  name               = "${var.project_name}-callback"
  assume_role_policy = local.lambda_trust
}

resource "aws_iam_role_policy" "callback_role" {
  name = "callback"
  role = aws_iam_role.callback_role.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = aws_secretsmanager_secret.callback_token.arn
      },
      {
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"]
        Resource = aws_dynamodb_table.approvals.arn
      },
      {
        Effect   = "Allow"
        Action   = "dynamodb:Query"
        Resource = "${aws_dynamodb_table.approvals.arn}/index/claims"
      },
      # These two actions know no resource: the task token is the permission.
      {
        Effect   = "Allow"
        Action   = ["states:SendTaskSuccess", "states:SendTaskFailure"]
        Resource = "*"
      },
      {
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [
          "${aws_cloudwatch_log_group.callback_logs.arn}:*",
          "${aws_cloudwatch_log_group.sweep_logs.arn}:*",
        ]
      },
    ]
  })
}

resource "aws_iam_role" "workflow_role" {
  name = "${var.project_name}-workflow"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "states.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      },
    ]
  })
}

resource "aws_iam_role_policy" "workflow_role" {
  name = "workflow"
  role = aws_iam_role.workflow_role.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = aws_lambda_function.functions["call"].arn
      },
      {
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "${aws_s3_bucket.bucket.arn}/inputs/*"
      },
      {
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = ["${aws_s3_bucket.bucket.arn}/outputs/*", "${aws_s3_bucket.bucket.arn}/logs/*"]
      },
      # Without this, S3 answers 403 and not 404 where an object is missing.
      {
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = aws_s3_bucket.bucket.arn
        Condition = { StringLike = { "s3:prefix" = "inputs/*" } }
      },
      {
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
        Resource = aws_dynamodb_table.approvals.arn
      },
      # Deliveries of logs and traces know no resources.
      {
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:GetLogDelivery",
          "logs:UpdateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:DescribeResourcePolicies",
          "logs:DescribeLogGroups",
          "xray:PutTraceSegments",
          "xray:PutTelemetryRecords",
          "xray:GetSamplingRules",
          "xray:GetSamplingTargets",
        ]
        Resource = "*"
      },
    ]
  })
}

resource "aws_iam_role" "user_role" {
  name = "${var.project_name}-user"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Principal = {
          AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"
        }
        Action = "sts:AssumeRole"
      },
    ]
  })
}

resource "aws_iam_role_policy" "user_role" {
  name = "user"
  role = aws_iam_role.user_role.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["states:StartExecution", "states:ListExecutions"]
        Resource = aws_sfn_state_machine.workflow.arn
      },
      {
        Effect   = "Allow"
        Action   = ["states:DescribeExecution", "states:GetExecutionHistory"]
        Resource = "${local.execution_arn}:*"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetObject"]
        Resource = [aws_s3_bucket.bucket.arn, "${aws_s3_bucket.bucket.arn}/*"]
      },
      {
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.bucket.arn}/inputs/*"
      },
      {
        Effect = "Allow"
        Action = ["logs:GetLogEvents", "logs:FilterLogEvents", "logs:DescribeLogStreams"]
        Resource = [
          "${aws_cloudwatch_log_group.workflow_logs.arn}:*",
          "${aws_cloudwatch_log_group.callback_logs.arn}:*",
          "${aws_cloudwatch_log_group.sweep_logs.arn}:*",
          "${aws_cloudwatch_log_group.access_logs.arn}:*",
        ]
      },
    ]
  })
}
