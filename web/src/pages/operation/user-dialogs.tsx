// Dialogs that change users.

import { useState } from 'preact/hooks'
import type { UserDescription } from '../../../../src/operations/documents/auth.ts'
import { userName } from '../../cluster/credentials.ts'
import { Confirmation } from '../../design/dialog.tsx'
import { Checkbox, TextField } from '../../design/field.tsx'
import { changeUsers } from './auth-state.ts'
import type { AuthDialogProps } from './auth-switch.tsx'
import { type AuthOverview, ROOT } from './permissions.ts'

const PASSWORD_HINT = '8 to 1024 bytes. Anybody who knows it may do what the user may.'
const NAME_HINT = 'Up to 64 letters, digits and . _ @ + -'

export function UserCreation({ auth, onClose, onDone, onConflict }: AuthDialogProps) {
  const [name, setName] = useState(auth.users.some((user) => user.name === ROOT) ? '' : ROOT)
  const [password, setPassword] = useState('')
  const [hasPassword, setHasPassword] = useState(true)
  const [roles, setRoles] = useState<readonly string[]>(name === ROOT ? [ROOT] : [])
  const confirm = async (): Promise<void> => {
    if (auth.users.some((user) => user.name === name))
      throw new Error(`Nothing was changed: there is a user ${name} already.`)
    await changeUsers(
      { kind: 'put-user', name, password: hasPassword ? password : null, oldPassword: undefined, roles },
      auth.revision,
      onConflict,
    )
    onDone(`${name} is a user now.`)
  }
  return (
    <Confirmation title="Add a user" action="Add" kind="primary" onConfirm={confirm} onClose={onClose}>
      <TextField label="Name" value={name} onInput={setName} isRequired hint={NAME_HINT} />
      {hasPassword && (
        <TextField
          label="Password"
          type="password"
          value={password}
          onInput={setPassword}
          isRequired
          hint={PASSWORD_HINT}
          autoComplete="new-password"
        />
      )}
      <Checkbox
        label="No password: only a certificate shows who it is"
        checked={!hasPassword}
        onChange={(checked) => setHasPassword(!checked)}
      />
      <RoleChoice auth={auth} chosen={roles} onChange={setRoles} />
    </Confirmation>
  )
}

type OfUser = AuthDialogProps & { readonly user: UserDescription }

export function PasswordChange({ user, auth, onClose, onDone, onConflict }: OfUser) {
  const { name } = user
  const [password, setPassword] = useState('')
  const [oldPassword, setOldPassword] = useState('')
  const isOwn = auth.enabled && name === userName.value
  const confirm = async (): Promise<void> => {
    await changeUsers(
      {
        kind: 'put-user',
        name,
        password,
        oldPassword: isOwn ? oldPassword : undefined,
        roles: undefined,
      },
      auth.revision,
      onConflict,
    )
    onDone(`${name} has a new password.`)
  }
  return (
    <Confirmation
      title={`New password of ${name}`}
      action="Change the password"
      kind="primary"
      onConfirm={confirm}
      onClose={onClose}
    >
      {isOwn && (
        <TextField
          label="Password until now"
          type="password"
          value={oldPassword}
          onInput={setOldPassword}
          isRequired
          autoComplete="current-password"
        />
      )}
      <TextField
        label="New password"
        type="password"
        value={password}
        onInput={setPassword}
        isRequired
        hint={PASSWORD_HINT}
        autoComplete="new-password"
      />
      <p>
        The tokens of the old password end at once{isOwn ? ', and this page asks you to log in again' : ''}.
      </p>
    </Confirmation>
  )
}

export function UserRoles({ user, auth, onClose, onDone, onConflict }: OfUser) {
  const { name } = user
  const [roles, setRoles] = useState<readonly string[]>(user.roles)
  const confirm = async (): Promise<void> => {
    await changeUsers(
      { kind: 'put-user', name, password: undefined, oldPassword: undefined, roles },
      auth.revision,
      onConflict,
    )
    onDone(roles.length === 0 ? `${name} has no role now.` : `${name} has the roles ${roles.join(', ')} now.`)
  }
  return (
    <Confirmation
      title={`Roles of ${name}`}
      action="Change the roles"
      kind="primary"
      onConfirm={confirm}
      onClose={onClose}
    >
      <RoleChoice auth={auth} chosen={roles} onChange={setRoles} />
      <p>Rights that are taken away end at once, for open connections and watches too.</p>
    </Confirmation>
  )
}

export function UserDeletion({ user, auth, onClose, onDone, onConflict }: OfUser) {
  const { name } = user
  const confirm = async (): Promise<void> => {
    await changeUsers({ kind: 'delete-user', name }, auth.revision, onConflict)
    onDone(`${name} is no user any more.`)
  }
  return (
    <Confirmation
      title={`Delete ${name}?`}
      action={`Delete ${name}`}
      typed={name}
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>
        The tokens and watches of {name} end at once. Keys stay. Leases and sessions of {name} belong to
        nobody then: a new user of the same name does not get them back.
      </p>
    </Confirmation>
  )
}

interface RoleChoiceProps {
  readonly auth: AuthOverview
  readonly chosen: readonly string[]
  readonly onChange: (roles: readonly string[]) => void
}

function RoleChoice({ auth, chosen, onChange }: RoleChoiceProps) {
  const names = [...new Set([ROOT, ...auth.roles.map(({ name }) => name), ...chosen])]
  return (
    <fieldset class="role-choice">
      <legend class="field-label">Roles</legend>
      {names.map((name) => (
        <Checkbox
          key={name}
          label={name === ROOT ? 'root: may do everything' : name}
          checked={chosen.includes(name)}
          onChange={(checked) =>
            onChange(checked ? [...chosen, name] : chosen.filter((each) => each !== name))
          }
        />
      ))}
    </fieldset>
  )
}
