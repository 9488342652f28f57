# An empty account has nothing to stand on: a network of two zones, whose machines reach package indexes and AWS.

data "aws_availability_zones" "this" {
  state = "available"
}

resource "aws_vpc" "this" {
  cidr_block           = var.network
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = "foreshadow" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "foreshadow" }
}

resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "foreshadow" }
}

resource "aws_route" "out" {
  route_table_id         = aws_route_table.this.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_subnet" "zone" {
  for_each = { north = 0, south = 1 }

  vpc_id                  = aws_vpc.this.id
  cidr_block              = cidrsubnet(var.network, 8, each.value + 1)
  availability_zone       = data.aws_availability_zones.this.names[each.value]
  map_public_ip_on_launch = true
  tags                    = { Name = "foreshadow-${each.key}" }
}

resource "aws_route_table_association" "zone" {
  for_each = aws_subnet.zone

  subnet_id      = each.value.id
  route_table_id = aws_route_table.this.id
}
