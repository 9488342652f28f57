output "foreshadow_hosts" {
  description = "The hosts, as the inventory plugin foreshadow.core.terraform_pool reads them."
  value = [
    for name, host in var.hosts : {
      name     = name
      address  = aws_instance.host[name].private_ip
      port     = var.agent_port
      zone     = data.aws_subnet.host[name].availability_zone
      capacity = host.capacity
      driver   = "agent"
      labels   = merge({ instance_type = aws_instance.host[name].instance_type }, host.labels)
      groups   = host.groups
      relay    = host.relay
      vars = {
        # Its user data starts the agent; the converge playbook leaves it alone.
        foreshadow_agent_manage = false
        aws_instance_id         = aws_instance.host[name].id
        aws_region              = data.aws_region.this.name
      }
    }
  ]
}

output "security_group_id" {
  description = "Security group of the hosts, to let a load balancer in."
  value       = aws_security_group.host.id
}

output "instance_ids" {
  description = "By host, the id of its instance."
  value       = { for name, host in aws_instance.host : name => host.id }
}

output "launch_template_id" {
  description = "The launch template of the hosts."
  value       = aws_launch_template.host.id
}
