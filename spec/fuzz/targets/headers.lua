-- Headers: the input is a block of headers, read by the C functions that read those of answers.
return require("spec.fuzz.host").headers
