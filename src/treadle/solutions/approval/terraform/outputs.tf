output "machine" {
  description = "The ARN of the state machine."
  value       = aws_sfn_state_machine.workflow.arn
}

output "bucket" {
  description = "The bucket with inputs, outputs and logs."
  value       = aws_s3_bucket.bucket.id
}

output "callback" {
  description = "Where Jira sends its callbacks."
  value       = "${aws_apigatewayv2_api.api.api_endpoint}/callback"
}

output "callback_token" {
  description = "The ARN of the secret; its value is not shown."
  value       = aws_secretsmanager_secret.callback_token.arn
}

output "api_endpoint" {
  description = "Where the three APIs are."
  value       = aws_apigatewayv2_api.api.api_endpoint
}

output "api_token" {
  description = "The ARN of the secret; its value is not shown."
  value       = aws_secretsmanager_secret.api_token.arn
}

output "approvals" {
  description = "The table of approvals."
  value       = aws_dynamodb_table.approvals.name
}

output "topic" {
  description = "The topic that stakeholders subscribe to."
  value       = aws_sns_topic.stakeholders.arn
}

output "user_role" {
  description = "The role of people who start workflows."
  value       = aws_iam_role.user_role.arn
}
