package audit

// FormatDetail is tested beside encoding/json.
var FormatDetail = formatDetail
