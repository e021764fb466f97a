variable "project_name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "approval"
}

variable "environments" {
  description = "The environments that packages may be deployed to."
  type        = list(string)
  default     = ["dev", "staging", "prod"]
}

variable "approved_statuses" {
  description = "The statuses of a Jira story that mean approval."
  type        = list(string)
  default     = ["done", "approved"]
}

variable "rejected_statuses" {
  description = "The statuses of a Jira story that mean refusal."
  type        = list(string)
  default     = ["rejected", "declined"]
}

variable "allowed_origin" {
  description = "The origin of web pages that may call the API."
  type        = string
  default     = "https://example.atlassian.net"
}

variable "log_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 30
}

variable "lambda_runtime" {
  description = "The runtime of the functions."
  type        = string
  default     = "python3.12"
}
