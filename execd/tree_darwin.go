package main

import "syscall"

// member stands for a process group here: darwin has no /proc, so those that left their group are not known.
type member struct{ pid, group int }

func (m member) isAlive() bool { return syscall.Kill(-m.group, 0) == nil }

func (m member) send(sig syscall.Signal) bool { return syscall.Kill(-m.group, sig) == nil }

func ticksNow() uint64 { return 0 }

func (r *registry) family(p *process) []member {
	k := p.kin()
	if group := (member{k.pid, k.pid}); group.isAlive() {
		return []member{group}
	}
	return nil
}

func (r *registry) descendants() (groups []member) {
	r.reaper.mu.Lock()
	defer r.reaper.mu.Unlock()
	for pid := range r.reaper.children {
		groups = append(groups, member{pid, pid})
	}
	return groups
}

func leftovers(string) []member { return nil }

func (r *registry) hasAdopted(string) bool { return false }

// lastBorn does not tell of births: who left its group is not looked for here.
func lastBorn() string { return "" }
