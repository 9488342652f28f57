output "foreshadow_hosts" {
  description = "The hosts, as the inventory plugin foreshadow.core.terraform_pool reads them."
  value = [
    for name, host in var.hosts : {
      name     = name
      address  = host.driver == "agent" ? aws_instance.host[name].private_ip : host.address
      port     = var.agent_port
      zone     = data.aws_subnet.host[name].availability_zone
      capacity = { for key, amount in host.capacity : key => amount if amount != null }
      driver   = host.driver
      labels = merge(
        { instance_type = aws_launch_template.host[name].instance_type },
        { for key, value in {
          ec2_launch_template = aws_launch_template.host[name].id
          ec2_subnet          = host.subnet_id
          ec2_region          = data.aws_region.this.name
        } : key => value if host.driver == "ec2" },
        host.labels,
      )
      groups = host.groups
      vars = {
        # Its user data starts the agent; the converge playbook leaves it alone.
        foreshadow_agent_manage = false
        aws_region              = data.aws_region.this.name
        aws_instance_id         = try(aws_instance.host[name].id, "")
        aws_launch_template_id  = aws_launch_template.host[name].id
        aws_subnet_id           = host.subnet_id
      }
    }
  ]
}

output "security_group_id" {
  description = "Security group of the hosts, to let a load balancer in."
  value       = aws_security_group.host.id
}

output "instance_ids" {
  description = "By host, the id of its instance; of those that Terraform makes."
  value       = { for name, host in aws_instance.host : name => host.id }
}

output "launch_template_ids" {
  description = "By host, the id of its launch template."
  value       = { for name, template in aws_launch_template.host : name => template.id }
}

output "controller_policy" {
  description = "IAM policy, as JSON, for a controller that makes the machines of hosts whose driver is ec2."
  value       = data.aws_iam_policy_document.controller.json
}
