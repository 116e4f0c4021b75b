# Who may do what. The backend hands in the user with their roles, and the grants of those roles, both read from the
# database for this one question; nothing is kept here, so nothing here can be out of date.
#
# input: { user: null | { id, active, roles: [name] },
#          grants: [{ role, resource, action }],
#          resource, action, subject: null | id of the user that it is about }
package rbac

import rego.v1

default allow := false

allow if {
	count(denied) == 0
	count(permitted) > 0
}

# What stands in the way, whatever the roles grant.
denied contains "the user is not known" if is_null(input.user)

denied contains "the user is not active" if input.user.active == false

# Nobody gives themselves a role, not even an administrator.
denied contains "nobody changes their own roles" if {
	input.resource == "roles"
	input.action == "assign"
	input.user.id == input.subject
}

# What speaks for it: the roles that grant it.
permitted contains grant.role if {
	some grant in input.grants
	grant.role in input.user.roles
	covers(grant.resource, input.resource)
	covers(grant.action, input.action)
}

# Everybody may look at themselves.
permitted contains "self" if {
	input.resource == "users"
	input.action == "read"
	input.user.id == input.subject
}

covers(pattern, _) if pattern == "*"

covers(pattern, value) if pattern == value

reasons contains reason if some reason in denied

reasons contains sprintf("no role grants %s on %s", [input.action, input.resource]) if {
	count(denied) == 0
	count(permitted) == 0
}

decision := {"allow": allow, "by": permitted, "reasons": reasons}
