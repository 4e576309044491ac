// Users and roles, and the switch that makes rights be checked.

import { useState } from 'preact/hooks'
import type { UserDescription } from '../../../../src/operations/documents/auth.ts'
import type { AuthRole, Permission } from '../../../../src/operations/forms/roles.ts'
import { needsLogin } from '../../cluster/connection.ts'
import { userName } from '../../cluster/credentials.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { Notice } from '../../design/notice.tsx'
import { Table, type TableColumn } from '../../design/table.tsx'
import { readAuth } from './auth-state.ts'
import { AuthSwitch } from './auth-switch.tsx'
import { Grant, grantText } from './grant.tsx'
import { OutcomeLine } from './outcome.tsx'
import { type AuthOverview, ROOT } from './permissions.ts'
import { GrantAddition, GrantRemoval, RoleCreation, RoleDeletion } from './role-dialogs.tsx'
import { PasswordChange, UserCreation, UserDeletion, UserRoles } from './user-dialogs.tsx'

type Dialog =
  | { readonly kind: 'switch' | 'new-user' | 'new-role' }
  | { readonly kind: 'password' | 'roles' | 'delete-user'; readonly user: UserDescription }
  | { readonly kind: 'grant' | 'delete-role'; readonly role: string }
  | { readonly kind: 'revoke'; readonly role: string; readonly permission: Permission }

export function UsersTab() {
  const [dialog, setDialog] = useState<Dialog>()
  const [outcome, setOutcome] = useState<string>()
  const { data: auth, error, reload } = useRequest(readAuth, [])
  const open = (next: Dialog): void => {
    setOutcome(undefined)
    setDialog(next)
  }
  if (auth === undefined)
    return (
      <section class="operation">
        {error !== undefined && !needsLogin.value && <Notice kind="problem">{error}</Notice>}
      </section>
    )
  const props = {
    auth,
    onClose: () => setDialog(undefined),
    onConflict: reload,
    onDone: (text: string) => {
      setOutcome(text)
      reload()
    },
  }
  return (
    <section class="operation">
      <Switch auth={auth} onChange={() => open({ kind: 'switch' })} />
      <OutcomeLine text={outcome} />
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {auth.refusal === undefined ? (
        <>
          <Users auth={auth} open={open} />
          <Roles auth={auth} open={open} />
        </>
      ) : (
        !needsLogin.value && (
          <Notice kind="warning">
            Users and roles are not shown: <SafeText text={auth.refusal} />.
          </Notice>
        )
      )}
      {dialog?.kind === 'switch' && <AuthSwitch {...props} />}
      {dialog?.kind === 'new-user' && <UserCreation {...props} />}
      {dialog?.kind === 'new-role' && <RoleCreation {...props} />}
      {dialog?.kind === 'password' && <PasswordChange user={dialog.user} {...props} />}
      {dialog?.kind === 'roles' && <UserRoles user={dialog.user} {...props} />}
      {dialog?.kind === 'delete-user' && <UserDeletion user={dialog.user} {...props} />}
      {dialog?.kind === 'grant' && <GrantAddition name={dialog.role} {...props} />}
      {dialog?.kind === 'revoke' && (
        <GrantRemoval name={dialog.role} permission={dialog.permission} {...props} />
      )}
      {dialog?.kind === 'delete-role' && <RoleDeletion name={dialog.role} {...props} />}
    </section>
  )
}

function Switch({ auth, onChange }: { readonly auth: AuthOverview; readonly onChange: () => void }) {
  return (
    <header class="operation-head">
      <p>
        <strong class="ink">{auth.enabled ? 'Rights are checked. ' : 'Rights are not checked. '}</strong>
        {auth.enabled
          ? 'Each request needs a user, who has the rights of the roles below, from whatever machine it comes.'
          : 'Everybody who can connect may do everything. A node serves only clients of its own machine, unless it was started with --insecure.'}
        {auth.enabled && userName.value !== undefined && (
          <>
            {' '}
            You are <SafeText text={userName.value} />.
          </>
        )}
      </p>
      <Button onClick={onChange}>{auth.enabled ? 'Check rights no longer' : 'Check rights'}</Button>
    </header>
  )
}

interface ListProps {
  readonly auth: AuthOverview
  readonly open: (dialog: Dialog) => void
}

function Users({ auth, open }: ListProps) {
  const columns: readonly TableColumn<UserDescription>[] = [
    {
      head: 'Name',
      cell: ({ name }) => (
        <strong class="operation-name">
          <SafeText text={name} />
        </strong>
      ),
    },
    {
      head: 'Roles',
      isWide: true,
      cell: ({ roles }) =>
        roles.length === 0 ? (
          <span class="dim">none: may only change their own password</span>
        ) : (
          roles.join(', ')
        ),
    },
    {
      head: 'Logs in by',
      cell: ({ hasPassword }) => (hasPassword ? 'password or certificate' : 'certificate only'),
    },
    {
      head: <span class="visually-hidden">Changes</span>,
      cell: (user) => (
        <div class="operation-row-actions">
          <Button kind="quiet" label={`Roles of ${user.name}`} onClick={() => open({ kind: 'roles', user })}>
            Roles
          </Button>
          <Button
            kind="quiet"
            label={`Password of ${user.name}`}
            onClick={() => open({ kind: 'password', user })}
          >
            Password
          </Button>
          <Button
            kind="quiet"
            label={`Delete ${user.name}`}
            onClick={() => open({ kind: 'delete-user', user })}
          >
            Delete
          </Button>
        </div>
      ),
    },
  ]
  return (
    <section class="operation-part">
      <header class="operation-head">
        <h2>Users</h2>
        <Button kind="primary" onClick={() => open({ kind: 'new-user' })}>
          Add a user
        </Button>
      </header>
      {auth.users.length === 0 ? (
        <Empty title="No users yet">
          <p>Rights can be checked when there is a user root with the role root. Add that one first.</p>
        </Empty>
      ) : (
        <Table caption="Users" columns={columns} rows={auth.users} rowKey={({ name }) => name} />
      )}
    </section>
  )
}

function Roles({ auth, open }: ListProps) {
  return (
    <section class="operation-part">
      <header class="operation-head">
        <h2>Roles</h2>
        <Button onClick={() => open({ kind: 'new-role' })}>Add a role</Button>
      </header>
      <ul class="roles">
        <li class="role">
          <h3>{ROOT}</h3>
          <ul>
            <li class="grant">may do everything. It cannot be changed.</li>
          </ul>
        </li>
        {auth.roles
          .filter(({ name }) => name !== ROOT)
          .map((role) => (
            <Role key={role.name} role={role} open={open} />
          ))}
      </ul>
    </section>
  )
}

function Role({ role, open }: { readonly role: AuthRole; readonly open: (dialog: Dialog) => void }) {
  const { name, permissions } = role
  return (
    <li class="role">
      <h3>
        <SafeText text={name} />
      </h3>
      <ul>
        {permissions.length === 0 && <li class="grant dim">may do nothing yet.</li>}
        {permissions.map((permission) => (
          <li key={grantText(permission)} class="grant">
            <span>
              <Grant permission={permission} />
            </span>
            <Button
              kind="quiet"
              label={`Take away: ${grantText(permission)}`}
              onClick={() => open({ kind: 'revoke', role: name, permission })}
            >
              Take away
            </Button>
          </li>
        ))}
      </ul>
      <div class="operation-row-actions">
        <Button kind="quiet" label={`Grant: ${name}`} onClick={() => open({ kind: 'grant', role: name })}>
          Grant
        </Button>
        <Button
          kind="quiet"
          label={`Delete ${name}`}
          onClick={() => open({ kind: 'delete-role', role: name })}
        >
          Delete
        </Button>
      </div>
    </li>
  )
}
