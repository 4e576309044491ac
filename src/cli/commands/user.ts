// kv user add | delete | list | show | passwd | grant | revoke

import { Command } from '@commander-js/extra-typings'
import { readPermission } from '../../client/auth.ts'
import type { AuthSelf, UserInfo } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { SelfDocument, UserDocument } from '../../operations/documents/auth.ts'
import { retryAuthChange } from '../auth-change.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { type NewPasswordFlags, newPassword, parseUserName } from '../flags/credentials.ts'
import { parseText } from '../flags/flag-values.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { permissionText } from '../flags/permissions.ts'
import { byName, printJson, say } from '../terminal/output.ts'
import { type Column, printList, printTable } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('user')
    .description('see and change the users')
    .addCommand(
      withExamples(new Command('list'), ['kv user list', 'kv user list -o json'])
        .description('all users and their roles')
        .action(() => listUsers(flags())),
    )
    .addCommand(
      withExamples(new Command('show'), ['kv user show bob', 'kv user show'])
        .description('a user, and the roles; without a name, who you are and what you may do')
        .argument('[name]', '', parseText)
        .action((name) => (name === undefined ? showSelf(flags()) : showUser(flags(), name))),
    )
    .addCommand(
      withPasswordFlags(
        withExamples(new Command('add'), [
          'kv user add bob --role app',
          'kv user add bob --password-file - < secret',
          'kv user add node-exporter --no-password',
        ]),
      )
        .description('make a user, whose password is typed, or in a file')
        .argument('<name>', '', parseText)
        .option('--role <name>', 'a role of the user; may be repeated', oneMore, [] as readonly string[])
        .option('--no-password', 'none: only a certificate shows who it is')
        .action((name, options) => addUser(flags(), name, options)),
    )
    .addCommand(
      withPasswordFlags(
        withExamples(new Command('passwd'), ['kv user passwd bob', 'kv user passwd --user bob']),
      )
        .description('change a password; without a name, your own')
        .argument('[name]', '', parseText)
        .action((name, options) => changePassword(flags(), name, options)),
    )
    .addCommand(
      withExamples(new Command('grant'), ['kv user grant bob app'])
        .description('give roles to a user')
        .argument('<name>', '', parseText)
        .argument('<role...>', 'names of roles; root may do everything')
        .action((name, roles) => changeRoles(flags(), name, roles, true)),
    )
    .addCommand(
      withExamples(new Command('revoke'), ['kv user revoke bob app'])
        .description('take roles away from a user')
        .argument('<name>', '', parseText)
        .argument('<role...>', 'names of roles')
        .action((name, roles) => changeRoles(flags(), name, roles, false)),
    )
    .addCommand(
      withExamples(new Command('delete'), ['kv user delete bob'])
        .description('remove a user, whose tokens and watches end')
        .argument('<name>', '', parseText)
        .action((name) => deleteUser(flags(), name)),
    )

const oneMore = (name: string, before: readonly string[]): readonly string[] => [...before, parseText(name)]

function withPasswordFlags(command: Command) {
  return command
    .option('--password-file <file>', 'the password is its first line; - is standard input', parseText)
    .option('--password <password>', 'not advised: others may see the command line')
}

const CHANGE = { kind: 'write', check: `${PROGRAM} user list` } as const

const COLUMNS: readonly Column<UserInfo>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'ROLES', cell: ({ roles }) => roles.join(',') },
  { title: 'PASSWORD', cell: ({ hasPassword }) => (hasPassword ? 'yes' : 'no') },
]

async function listUsers(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const { users } = await client.users.list({ signal })
    await printList(format, byName(users), UserDocument.encode, COLUMNS)
  })
}

async function showUser(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const user = await client.users.get(name, { signal })
    if (user === undefined) throw noUser(name)
    if (!(await printJson(format, UserDocument.encode(user)))) await printTable(COLUMNS, format, [user])
  })
}

const SELF_COLUMNS: readonly Column<AuthSelf>[] = [
  { title: 'NAME', cell: ({ user }) => user },
  { title: 'BY', cell: ({ credential }) => credential },
  { title: 'ROLES', cell: ({ roles }) => roles.join(',') },
  { title: 'PERMISSIONS', cell: ({ permissions }) => permissions.map(permissionText).join(', ') },
]

async function showSelf(global: GlobalFlags): Promise<void> {
  await withContext(global, { kind: 'read' }, async ({ client, format, signal }) => {
    const self = await client.auth.self({ signal })
    const json = SelfDocument.encode({ ...self, permissions: self.permissions.map(readPermission) })
    if (!(await printJson(format, json))) await printTable(SELF_COLUMNS, format, [self])
    if (!self.enabled) say('rights are not checked: who can connect may do everything')
  })
}

const noUser = (name: string): Failure => new Failure(EXIT.notFound, `there is no user ${name}`)

interface NewUserFlags extends NewPasswordFlags {
  readonly role: readonly string[]
}

async function addUser(global: GlobalFlags, name: string, flags: NewUserFlags): Promise<void> {
  await withContext(global, CHANGE, async (context) => {
    const { client, signal } = context
    const password = flags.password === false ? null : await newPassword(name, flags)
    await retryAuthChange(context, async () => {
      const { users, revision } = await client.users.list({ signal })
      if (users.some((user) => user.name === name))
        throw new Failure(
          EXIT.failed,
          `there is a user ${name} already: \`${PROGRAM} user passwd\` changes the password, \`grant\` and \`revoke\` the roles`,
        )
      await client.users.put(name, { password, roles: flags.role }, { ifRevision: revision, signal })
    })
    say(flags.role.length === 0 ? `${name} is a user now, without a role` : `${name} is a user now`)
  })
}

async function changePassword(
  global: GlobalFlags,
  named: string | undefined,
  flags: NewPasswordFlags,
): Promise<void> {
  const own = parseUserName(global.user ?? '')
  const name = named ?? own
  if (name === '') throw new Failure(EXIT.usage, `whose password? ${PROGRAM} user passwd NAME`)
  await withContext(global, { kind: 'write' }, async (context) => {
    if (name !== own) await existing(context, name)
    const password = await newPassword(name, flags)
    await context.client.users.put(name, { password }, { signal: context.signal })
    say(`${name} has a new password: tokens of the old one have ended`)
  })
}

/** Another name would make a user. */
async function existing({ client, signal }: CommandContext, name: string): Promise<void> {
  if ((await client.users.get(name, { signal })) === undefined) throw noUser(name)
}

async function changeRoles(
  global: GlobalFlags,
  name: string,
  changed: readonly string[],
  isGrant: boolean,
): Promise<void> {
  await withContext(global, CHANGE, (context) =>
    retryAuthChange(context, async () => {
      const { client, signal } = context
      const { users, revision } = await client.users.list({ signal })
      const user = users.find((each) => each.name === name)
      if (user === undefined) throw noUser(name)
      const missing = isGrant ? undefined : changed.find((role) => !user.roles.includes(role))
      if (missing !== undefined) throw new Failure(EXIT.notFound, `${name} does not have the role ${missing}`)
      const roles = isGrant
        ? [...new Set([...user.roles, ...changed])]
        : user.roles.filter((role) => !changed.includes(role))
      await client.users.put(name, { roles }, { ifRevision: revision, signal })
      say(roles.length === 0 ? `${name} has no role` : `${name} has ${rolesText(roles)}`)
    }),
  )
}

const rolesText = (roles: readonly string[]): string =>
  `the role${roles.length === 1 ? '' : 's'} ${roles.join(', ')}`

async function deleteUser(global: GlobalFlags, name: string): Promise<void> {
  await withContext(global, CHANGE, async ({ client, signal }) => {
    await client.users.delete(name, { signal })
    say(`${name} is no longer a user`)
  })
}
