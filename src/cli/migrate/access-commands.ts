// The users and roles of the source, as commands that make them in the target. Passwords cannot be read anywhere, so
// each command asks for a new one.

import { shellWord } from '../../bytes/shell-word.ts'
import {
  type Client,
  QuorateError,
  type RoleInfo,
  type RolePermission,
  type UserInfo,
} from '../../client/index.ts'
import { PROGRAM } from '../../local/program-name.ts'

/** The role that may do everything, on both sides. */
const ROOT = 'root'

type Side = 'quorate' | 'etcd'

export type AccessCommands =
  | { readonly kind: 'commands'; readonly lines: readonly string[] }
  /** The user may not read users and roles. */
  | { readonly kind: 'denied' }

export async function accessCommands(
  source: Client,
  target: Side,
  signal: AbortSignal,
): Promise<AccessCommands> {
  try {
    const { roles } = await source.roles.list({ signal })
    const { users } = await source.users.list({ signal })
    return { kind: 'commands', lines: encode(roles, users, target) }
  } catch (error) {
    const isDenied = error instanceof QuorateError && DENIED.has(error.code)
    if (!isDenied) throw error
    return { kind: 'denied' }
  }
}

const DENIED = new Set(['permission_denied', 'unauthenticated'])

function encode(roles: readonly RoleInfo[], users: readonly UserInfo[], target: Side): readonly string[] {
  const tool = target === 'etcd' ? 'etcdctl' : PROGRAM
  const lines: string[] = []
  for (const { name, permissions } of roles) {
    if (name === ROOT) continue
    lines.push(`${tool} role add ${shellWord(name)}`)
    for (const permission of permissions) lines.push(grantLine(name, permission, target))
  }
  for (const { name, roles: names, hasPassword } of users) {
    const flags = hasPassword ? '' : ' --no-password'
    lines.push(`${tool} user add ${shellWord(name)}${flags}`)
    for (const role of names)
      lines.push(
        target === 'etcd'
          ? `etcdctl user grant-role ${shellWord(name)} ${shellWord(role)}`
          : `${PROGRAM} user grant ${shellWord(name)} ${shellWord(role)}`,
      )
  }
  if (users.some(({ name }) => name === ROOT)) lines.push(`${tool} auth enable`)
  return lines
}

function grantLine(role: string, permission: RolePermission, target: Side): string {
  const { access } = permission
  if (target === 'etcd') {
    if (access === 'admin')
      return `# role ${shellWord(role)}: etcd has no permission for members and settings but that of the role root`
    return `etcdctl role grant-permission ${shellWord(role)} ${access} ${etcdRange(permission)}`
  }
  const range = access === 'admin' ? '' : ` ${ownRange(permission)}`
  return `${PROGRAM} role grant ${shellWord(role)} ${access}${range}`
}

type Ranged = Exclude<RolePermission, { readonly access: 'admin' }>

function etcdRange(range: Ranged): string {
  if ('all' in range) return "'' --from-key=true"
  if ('key' in range) return word(range.key)
  if ('prefix' in range) return `${word(range.prefix)} --prefix=true`
  const start = 'start' in range ? word(range.start) : "''"
  return range.end === undefined ? `${start} --from-key=true` : `${start} ${word(range.end)}`
}

function ownRange(range: Ranged): string {
  if ('all' in range) return '--all'
  if ('key' in range) return word(range.key)
  if ('prefix' in range) return `--prefix ${word(range.prefix)}`
  const start = 'start' in range ? word(range.start) : "''"
  return `--range ${start} ${range.end === undefined ? "''" : word(range.end)}`
}

/** A key that is no UTF-8 is written in the notation of bash. */
function word(key: string | Uint8Array): string {
  if (typeof key === 'string') return shellWord(key)
  const bytes = [...key].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
  return `$'${bytes.join('')}'`
}
