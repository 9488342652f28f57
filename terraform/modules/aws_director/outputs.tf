output "dns_name" {
  description = "The name of the load balancer, for a record of yours."
  value       = aws_lb.this.dns_name
}

output "foreshadow_directors" {
  description = "The directors of the resource, for its key directors: by the load balancer and, where there are records, by them."
  value = concat(
    [{
      kind     = "elbv2"
      listener = aws_lb_listener.this.arn
      targets  = { for host, group in aws_lb_target_group.host : host => group.name }
    }],
    var.record == null ? [] : [{
      kind   = "route53"
      zone   = local.zone_id
      record = var.record.name
      check  = { port = var.port, path = var.health.path }
    }],
  )
}

output "load_balancer" {
  description = "The load balancer as CloudWatch names it, for the dimension LoadBalancer."
  value       = aws_lb.this.arn_suffix
}

output "listener_arn" {
  description = "ARN of the listener whose weights the switch owns."
  value       = aws_lb_listener.this.arn
}

output "target_group_arns" {
  description = "By host, the ARN of its target group."
  value       = { for host, group in aws_lb_target_group.host : host => group.arn }
}

output "zone_id" {
  description = "Id of the zone of the records; null without records."
  value       = local.zone_id
}

output "security_group_id" {
  description = "Security group of the load balancer."
  value       = aws_security_group.this.id
}

output "controller_policy" {
  description = "IAM policy, as JSON, for a controller that moves this traffic and reads metrics."
  value       = data.aws_iam_policy_document.controller.json
}
