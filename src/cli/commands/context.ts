// kv context add | use | list | remove: named clusters, with what reaches them.

import { resolve } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import {
  CONTEXT_NAME,
  contextsFile,
  readContexts,
  type SavedContext,
  unknownContext,
  writeContexts,
} from '../contexts.ts'
import { EXIT } from '../exit-codes.ts'
import { parseUserName, readCredentials } from '../flags/credentials.ts'
import { chooseTls, type GlobalFlags, outputFormat } from '../flags/global-flags.ts'
import { io } from '../terminal/io.ts'
import { byName, say } from '../terminal/output.ts'
import { printList } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  new Command('context')
    .description('keep what reaches a cluster under a name')
    .addCommand(
      withExamples(new Command('add'), [
        'kv context add prod --endpoints https://10.0.0.1:7301,https://10.0.0.2:7301 --cacert ca.crt --user ops',
      ])
        .description('keep the endpoints, the files and the user of this command')
        .argument('<name>')
        .option('--save-password', 'also the password, in clear')
        .action((name, { savePassword }) => add(flags(), name, savePassword === true)),
    )
    .addCommand(
      withExamples(new Command('use'), ['kv context use prod', 'kv context use --none'])
        .description('use it for all commands that name no other cluster')
        .argument('[name]')
        .option('--none', 'use none')
        .action((name, { none }) => use(name, none === true)),
    )
    .addCommand(
      withExamples(new Command('list'), ['kv context list', 'kv context list -o json'])
        .description('all contexts; passwords are not shown')
        .action(() => list(flags())),
    )
    .addCommand(
      withExamples(new Command('remove'), ['kv context remove prod'])
        .description('forget it')
        .argument('<name>')
        .action(remove),
    )

async function add(flags: GlobalFlags, name: string, savePassword: boolean): Promise<void> {
  const { endpoints, cacert, cert, key, user, token } = flags
  if (!CONTEXT_NAME.test(name))
    throw new Failure(
      EXIT.usage,
      'a name has up to 63 letters, digits and . _ -, and begins with one of the first two',
    )
  if (endpoints === undefined) throw new Failure(EXIT.usage, 'which cluster? add --endpoints URL[,URL…]')
  if (token !== undefined)
    throw new Failure(EXIT.usage, 'a token ends after minutes, and is not kept: use --user')
  if (savePassword && user === undefined)
    throw new Failure(EXIT.usage, '--save-password needs the user: add --user NAME')
  // A file that cannot be used is named now, and not when the context is.
  chooseTls(flags)
  const path = (file: string | undefined) => (file === undefined ? undefined : resolve(io().cwd, file))
  const userName = user === undefined ? undefined : parseUserName(user)
  const credentials = savePassword ? await readCredentials(flags) : {}
  // Behind the question for the password, during which other commands may change the file.
  const file = readContexts()
  if (Object.hasOwn(file.contexts, name))
    throw new Failure(
      EXIT.usage,
      `there is a context ${name} already: \`${PROGRAM} context remove ${name}\` first`,
    )
  const context: SavedContext = {
    endpoints,
    ...pickDefined({ cacert: path(cacert), cert: path(cert), key: path(key), user: userName }),
    ...('password' in credentials ? { password: credentials.password } : {}),
  }
  writeContexts({ ...file, contexts: { ...file.contexts, [name]: context } })
  if (!savePassword && user !== userName)
    say('the password is not kept: add --save-password, or set KV_PASSWORD')
  say(
    `kept in ${contextsFile()}: --context ${name} uses it, \`${PROGRAM} context use ${name}\` in all commands`,
  )
}

/** The fields that are present. */
const pickDefined = (
  fields: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )

function use(name: string | undefined, none: boolean): void {
  if ((name === undefined) !== none)
    throw new Failure(EXIT.usage, `name a context, or --none: ${PROGRAM} context use NAME`)
  const { contexts } = readContexts()
  if (name !== undefined && !Object.hasOwn(contexts, name)) throw unknownContext(name, contexts)
  writeContexts({ current: name, contexts })
  say(name === undefined ? 'no context is used' : `commands use ${name} now; --context '' uses none`)
}

async function list(flags: GlobalFlags): Promise<void> {
  const { current, contexts } = readContexts()
  const rows = Object.entries(contexts).map(([name, context]) => ({
    name,
    isCurrent: name === current,
    ...context,
  }))
  await printList(
    outputFormat(flags),
    byName(rows),
    ({ name, isCurrent, endpoints, cacert, cert, key, user, password }) => ({
      name,
      current: isCurrent,
      endpoints,
      ...pickDefined({ cacert, cert, key, user }),
      has_password: password !== undefined,
    }),
    [
      { title: 'NAME', cell: ({ name }) => name },
      { title: 'CURRENT', cell: ({ isCurrent }) => (isCurrent ? 'yes' : 'no') },
      { title: 'ENDPOINTS', cell: ({ endpoints }) => endpoints.join(',') },
      { title: 'USER', cell: ({ user }) => user },
      { title: 'PASSWORD', cell: ({ password }) => (password === undefined ? undefined : 'kept') },
      { title: 'CA', cell: ({ cacert }) => cacert, keepsEnd: true },
    ],
  )
}

function remove(name: string): void {
  const { current, contexts } = readContexts()
  if (!Object.hasOwn(contexts, name)) throw unknownContext(name, contexts)
  const others = Object.fromEntries(Object.entries(contexts).filter(([other]) => other !== name))
  writeContexts({ current: current === name ? undefined : current, contexts: others })
  say(`${name} is forgotten${current === name ? ': no context is used now' : ''}`)
}
