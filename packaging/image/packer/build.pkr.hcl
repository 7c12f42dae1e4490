# What to add to a Packer template of yours: these two provisioners, as the last ones of its build block.
variable "holdfast_package" {
  type        = string
  description = "The .deb or .rpm file of Holdfast."
}

build {
  sources = ["source.null.yours"] # edit

  provisioner "file" {
    sources     = [var.holdfast_package, "${path.root}/../bake.sh"]
    destination = "/var/tmp/"
  }
  provisioner "shell" {
    script          = "${path.root}/holdfast.sh"
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
  }
}

source "null" "yours" {
  communicator = "none"
}
