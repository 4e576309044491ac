// Dialogs that change roles and what they permit.

import { useState } from 'preact/hooks'
import { ACCESSES, type Access, type Permission } from '../../../../src/operations/forms/roles.ts'
import { Confirmation } from '../../design/dialog.tsx'
import { Select, TextField } from '../../design/field.tsx'
import { changeUsers } from './auth-state.ts'
import type { AuthDialogProps } from './auth-switch.tsx'
import { ACCESS_WORDS, Grant, grantText } from './grant.tsx'
import { type AuthOverview, makePermission, type RangeKind } from './permissions.ts'

export function RoleCreation({ auth, onClose, onDone, onConflict }: AuthDialogProps) {
  const [name, setName] = useState('')
  const confirm = async (): Promise<void> => {
    if (auth.roles.some((role) => role.name === name))
      throw new Error(`Nothing was changed: there is a role ${name} already.`)
    await changeUsers({ kind: 'put-role', name, permissions: [] }, auth.revision, onConflict)
    onDone(`The role ${name} is there now, and may do nothing yet. Grant it something.`)
  }
  return (
    <Confirmation title="Add a role" action="Add" kind="primary" onConfirm={confirm} onClose={onClose}>
      <TextField
        label="Name"
        value={name}
        onInput={setName}
        isRequired
        hint="Up to 64 letters, digits and . _ @ + -"
      />
    </Confirmation>
  )
}

type OfRole = AuthDialogProps & { readonly name: string }

const permissionsNow = (auth: AuthOverview, name: string): readonly Permission[] =>
  auth.roles.find((role) => role.name === name)?.permissions ?? []

export function GrantAddition({ name, auth, onClose, onDone, onConflict }: OfRole) {
  const [access, setAccess] = useState<Access>('read')
  const [place, setPlace] = useState<RangeKind>('prefix')
  const [first, setFirst] = useState('')
  const [end, setEnd] = useState('')
  const permission = makePermission(access, place, first, end)
  const confirm = async (): Promise<void> => {
    if (permission === undefined) throw new Error('Nothing was changed: name the keys first.')
    const permissions = [...permissionsNow(auth, name), permission]
    await changeUsers({ kind: 'put-role', name, permissions }, auth.revision, onConflict)
    onDone(`The role ${name} ${grantText(permission)} now.`)
  }
  return (
    <Confirmation
      title={`Grant the role ${name} a right`}
      action="Grant"
      kind="primary"
      onConfirm={confirm}
      onClose={onClose}
    >
      <Select
        label="It"
        value={access}
        onChange={setAccess}
        options={ACCESSES.map((each) => ({
          value: each,
          text: each === 'admin' ? 'may administer the cluster' : ACCESS_WORDS[each],
        }))}
      />
      {access !== 'admin' && (
        <Select
          label="Which keys"
          value={place}
          onChange={setPlace}
          options={[
            { value: 'prefix', text: 'keys that begin with a text' },
            { value: 'key', text: 'one key' },
            { value: 'range', text: 'keys from one key to another' },
            { value: 'all', text: 'all keys' },
          ]}
        />
      )}
      {access !== 'admin' && place !== 'all' && (
        <TextField
          label={FIRST_LABELS[place]}
          value={first}
          onInput={setFirst}
          isMono
          isRequired
          placeholder={place === 'prefix' ? 'app/' : ''}
        />
      )}
      {access !== 'admin' && place === 'range' && (
        <TextField
          label="Before this key"
          value={end}
          onInput={setEnd}
          isMono
          hint="Not included. Empty: to the last key."
        />
      )}
      {permission !== undefined && (
        <p>
          The role {name} <Grant permission={permission} />.
        </p>
      )}
    </Confirmation>
  )
}

const FIRST_LABELS = { prefix: 'Beginning', key: 'Key', range: 'From this key on' } as const

export function GrantRemoval({
  name,
  permission,
  auth,
  onClose,
  onDone,
  onConflict,
}: OfRole & { readonly permission: Permission }) {
  const users = auth.users.filter(({ roles }) => roles.includes(name)).map((user) => user.name)
  const confirm = async (): Promise<void> => {
    const permissions = permissionsNow(auth, name).filter((each) => grantText(each) !== grantText(permission))
    await changeUsers({ kind: 'put-role', name, permissions }, auth.revision, onConflict)
    onDone(`Taken away from the role ${name}: ${grantText(permission)}.`)
  }
  return (
    <Confirmation
      title={`Take a right from the role ${name}?`}
      action="Take away"
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>
        It <Grant permission={permission} />.
      </p>
      <p>{describeUsers(users)} Open connections and watches lose it at once.</p>
    </Confirmation>
  )
}

export function RoleDeletion({ name, auth, onClose, onDone, onConflict }: OfRole) {
  const users = auth.users.filter(({ roles }) => roles.includes(name)).map((user) => user.name)
  const confirm = async (): Promise<void> => {
    await changeUsers({ kind: 'delete-role', name }, auth.revision, onConflict)
    onDone(`The role ${name} is gone.`)
  }
  return (
    <Confirmation
      title={`Delete the role ${name}?`}
      action={`Delete ${name}`}
      typed={name}
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>{describeUsers(users)} Its rights end at once.</p>
    </Confirmation>
  )
}

const describeUsers = (names: readonly string[]): string =>
  names.length === 0 ? 'No user has this role.' : `Users with this role: ${names.join(', ')}.`
