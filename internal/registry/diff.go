package registry

// Diff says in words what changes from one group to another; old may be nil.
func Diff(old, group *Group) Plan { return Plan{} }

// sentences are the changes in words.
func (p Plan) sentences() []string { return nil }
