// A change of users and roles in the body of an entry:
//
//   0, or 1 and the auth revision that must still be current (8)
//   kind (1)   1 enable: 0, or 1: root has a certificate; key of the ids of leases; key of tokens
//              2 disable
//              3 put-user: name; password hash: 0 unchanged, 1 none, or 2 and the hash; roles: 0 unchanged, or 1, names
//              4 delete-user: name
//              5 put-role: name, permissions (`state.ts`)
//              6 delete-role: name

import { assertNever, type Reader, type Writer } from '../../bytes/index.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import type { AuthChange, Command } from '../types.ts'
import { readNames, readPermissions, writeNames, writePermissions } from './state.ts'

type AuthCommand = Extract<Command, { kind: 'auth' }>

const [ENABLE, DISABLE, PUT_USER, DELETE_USER, PUT_ROLE, DELETE_ROLE] = [1, 2, 3, 4, 5, 6]
const [UNCHANGED, NONE, GIVEN] = [0, 1, 2]

export function writeAuthCommand({ change, ifRevision }: AuthCommand, to: Writer): void {
  to.flag(ifRevision !== undefined)
  if (ifRevision !== undefined) to.uint64(ifRevision)
  switch (change.kind) {
    case 'enable':
      to.uint8(ENABLE).flag(change.rootHasCertificate).bytes(change.leaseIdKey).bytes(change.tokenKey)
      break
    case 'disable':
      to.uint8(DISABLE)
      break
    case 'put-user': {
      const { name, passwordHash, roles } = change
      to.uint8(PUT_USER).utf8(name)
      to.uint8(passwordHash === undefined ? UNCHANGED : passwordHash === null ? NONE : GIVEN)
      if (typeof passwordHash === 'string') to.utf8(passwordHash)
      to.flag(roles !== undefined)
      if (roles !== undefined) writeNames(to, roles)
      break
    }
    case 'delete-user':
      to.uint8(DELETE_USER).utf8(change.name)
      break
    case 'put-role':
      writePermissions(to.uint8(PUT_ROLE).utf8(change.name), change.permissions)
      break
    case 'delete-role':
      to.uint8(DELETE_ROLE).utf8(change.name)
      break
    default:
      assertNever(change, 'change')
  }
}

export function readAuthCommand(from: Reader): AuthCommand {
  const ifRevision = from.flag() ? from.uint64() : undefined
  return { kind: 'auth', ifRevision, change: readChange(from) }
}

function readChange(from: Reader): AuthChange {
  const kind = from.uint8()
  switch (kind) {
    case ENABLE: {
      const rootHasCertificate = from.flag()
      const leaseIdKey = from.bytes().slice()
      return { kind: 'enable', rootHasCertificate, leaseIdKey, tokenKey: from.bytes().slice() }
    }
    case DISABLE:
      return { kind: 'disable' }
    case PUT_USER: {
      const name = from.utf8()
      const passwordHash = readPasswordHash(from)
      return { kind: 'put-user', name, passwordHash, roles: from.flag() ? readNames(from) : undefined }
    }
    case DELETE_USER:
      return { kind: 'delete-user', name: from.utf8() }
    case PUT_ROLE: {
      const name = from.utf8()
      return { kind: 'put-role', name, permissions: readPermissions(from) }
    }
    case DELETE_ROLE:
      return { kind: 'delete-role', name: from.utf8() }
    default:
      throw new UnknownKindError(`change ${kind} of users and roles`)
  }
}

function readPasswordHash(from: Reader): string | null | undefined {
  const form = from.uint8()
  if (form > GIVEN) throw new MalformedBytesError(`form ${form} of a password hash`)
  return form === UNCHANGED ? undefined : form === NONE ? null : from.utf8()
}
