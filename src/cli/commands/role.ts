// kv role add | delete | list | show | grant | revoke

import { Argument, Command } from '@commander-js/extra-typings'
import { readPermission } from '../../client/auth.ts'
import type { RoleInfo, RolePermission } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { RoleDocument } from '../../operations/documents/auth.ts'
import { ACCESSES } from '../../operations/forms/roles.ts'
import { retryAuthChange } from '../auth-change.ts'
import { withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { parseText } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { addPermission, permissionFrom, permissionText, removePermission } from '../flags/permissions.ts'
import { byName, printJson, say } from '../terminal/output.ts'
import { printList, printTable } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('role')
    .description('see and change what users may do')
    .addCommand(
      withExamples(new Command('list'), ['kv role list', 'kv role list -o json'])
        .description('all roles and their permissions')
        .action(() => listRoles(flags())),
    )
    .addCommand(
      withExamples(new Command('show'), ['kv role show app'])
        .description('the permissions of a role, one a line')
        .argument('<name>', '', parseText)
        .action((name) => showRole(flags(), name)),
    )
    .addCommand(
      withExamples(new Command('add'), ['kv role add app'])
        .description('make a role, without permissions')
        .argument('<name>', '', parseText)
        .action((name) => addRole(flags(), name)),
    )
    .addCommand(
      withRangeFlags(
        withExamples(new Command('grant'), [
          'kv role grant app readwrite --prefix app/',
          'kv role grant app read config',
          'kv role grant app write --range a c',
          'kv role grant ops admin',
        ]),
      )
        .description('add a permission to a role')
        .action((name, access, key, options) =>
          changePermissions(flags(), name, permissionFrom(access, key, options), true),
        ),
    )
    .addCommand(
      withRangeFlags(
        withExamples(new Command('revoke'), [
          'kv role revoke app write --prefix app/',
          'kv role revoke ops admin',
        ]),
      )
        .description('take a permission away from a role')
        .action((name, access, key, options) =>
          changePermissions(flags(), name, permissionFrom(access, key, options), false),
        ),
    )
    .addCommand(
      withExamples(new Command('delete'), ['kv role delete app'])
        .description('remove a role, from its users too')
        .argument('<name>', '', parseText)
        .action((name) => deleteRole(flags(), name)),
    )

function withRangeFlags(command: Command) {
  return command
    .argument('<name>', '', parseText)
    .addArgument(new Argument('<access>', 'admin: members, settings, users and roles').choices(ACCESSES))
    .argument('[key]', 'one key')
    .option('--prefix <prefix>', 'all keys that begin with it')
    .option('--range <keys...>', "from the first key on, before the second; '' is no bound")
    .option('--all', 'all keys')
}

const CHANGE = { kind: 'write', check: `${PROGRAM} role list` } as const

const roleJson = ({ name, permissions }: RoleInfo): object =>
  RoleDocument.encode({ name, permissions: permissions.map(readPermission) })

async function listRoles(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const { roles } = await client.roles.list({ signal })
    await printList<RoleInfo>(format, byName(roles), roleJson, [
      { title: 'NAME', cell: ({ name }) => name },
      { title: 'PERMISSIONS', cell: ({ permissions }) => permissions.map(permissionText).join(', ') },
    ])
  })
}

async function showRole(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const role = await client.roles.get(name, { signal })
    if (role === undefined) throw noRole(name)
    if (await printJson(format, roleJson(role))) return
    const columns = [{ title: 'PERMISSION', cell: permissionText }]
    await printTable<RolePermission>(columns, format, role.permissions)
  })
}

const noRole = (name: string): Failure => new Failure(EXIT.notFound, `there is no role ${name}`)

async function addRole(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, CHANGE, (context) =>
    retryAuthChange(context, async () => {
      const { client, signal } = context
      const { roles, revision } = await client.roles.list({ signal })
      if (roles.some((role) => role.name === name))
        throw new Failure(EXIT.failed, `there is a role ${name} already`)
      await client.roles.put(name, [], { ifRevision: revision, signal })
      say(`${name} is a role now; \`${PROGRAM} role grant ${name}\` says what it permits`)
    }),
  )
}

async function changePermissions(
  global: GlobalFlags,
  name: string,
  changed: RolePermission,
  isGrant: boolean,
): Promise<void> {
  await withContext(global, CHANGE, (context) =>
    retryAuthChange(context, async () => {
      const { client, signal } = context
      const { roles, revision } = await client.roles.list({ signal })
      const role = roles.find((each) => each.name === name)
      if (role === undefined) throw noRole(name)
      const permissions = isGrant
        ? addPermission(role.permissions, changed)
        : removePermission(role.permissions, changed)
      if (permissions === undefined)
        throw new Failure(EXIT.notFound, `${name} does not permit ${permissionText(changed)}`)
      await client.roles.put(name, permissions, { ifRevision: revision, signal })
      say(`${name} permits ${permissions.map(permissionText).join(', ') || 'nothing'}`)
    }),
  )
}

async function deleteRole(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal }) => {
    await client.roles.delete(name, { signal })
    say(`${name} is no longer a role`)
  })
}
