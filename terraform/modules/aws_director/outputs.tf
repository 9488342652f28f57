output "dns_name" {
  description = "The name of the load balancer, for a record of yours."
  value       = aws_lb.this.dns_name
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
