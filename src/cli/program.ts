// The command line: a table of commands. A command is loaded only if the arguments can name it.

import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { Failure } from '../local/failure.ts'
import { PROGRAM } from '../local/program-name.ts'
import { version } from '../system/version.ts'
import { type ProgramContext, withExamples } from './command-definition.ts'
import { EXIT } from './exit-codes.ts'
import { commandWithGlobalFlags, dropEmptyVariables } from './flags/global-flags.ts'
import { io } from './terminal/io.ts'
import { sayLines } from './terminal/output.ts'

type Loader = () => Promise<{ readonly command: (context: ProgramContext) => CommandUnknownOpts }>
type Group = 'Keys:' | 'Cluster:' | 'Tests:' | 'Learning:' | 'Help:'

const COMMANDS: Readonly<Record<Group, Readonly<Record<string, Loader>>>> = {
  'Keys:': {
    put: () => import('./commands/put.ts'),
    get: () => import('./commands/get.ts'),
    del: () => import('./commands/del.ts'),
    ls: () => import('./commands/ls.ts'),
    txn: () => import('./commands/txn.ts'),
    import: () => import('./commands/import.ts'),
    export: () => import('./commands/export.ts'),
    migrate: () => import('./commands/migrate.ts'),
    watch: () => import('./commands/watch.ts'),
    history: () => import('./commands/history.ts'),
    lease: () => import('./commands/lease.ts'),
    lock: () => import('./commands/lock.ts'),
    elect: () => import('./commands/elect.ts'),
    queue: () => import('./commands/queue.ts'),
    service: () => import('./commands/service.ts'),
  },
  'Cluster:': {
    status: () => import('./commands/status.ts'),
    member: () => import('./commands/member.ts'),
    leader: () => import('./commands/leader.ts'),
    compact: () => import('./commands/compact.ts'),
    settings: () => import('./commands/settings.ts'),
    console: () => import('./commands/console.ts'),
    context: () => import('./commands/context.ts'),
    auth: () => import('./commands/auth.ts'),
    user: () => import('./commands/user.ts'),
    role: () => import('./commands/role.ts'),
    cluster: () => import('./commands/cluster.ts'),
    node: () => import('./commands/node.ts'),
    cert: () => import('./commands/cert.ts'),
    backup: () => import('./commands/backup.ts'),
    restore: () => import('./commands/restore.ts'),
    doctor: () => import('./commands/doctor.ts'),
    inspect: () => import('./commands/inspect.ts'),
    recover: () => import('./commands/recover.ts'),
  },
  'Tests:': {
    simulate: () => import('./commands/simulate.ts'),
  },
  'Learning:': {
    lab: () => import('./commands/lab.ts'),
  },
  'Help:': {
    help: () => import('./commands/help.ts'),
    completion: () => import('./commands/completion.ts'),
    complete: () => import('./commands/complete.ts'),
  },
}

/** The command behind each Tab; no user calls it. */
const HIDDEN = 'complete'
const LOADING_ALL = new Set(['help', '--help', '-h', HIDDEN])
const EXAMPLES = ['kv cluster start', 'kv put greeting hello', 'kv get greeting', 'kv ls', 'kv status']

export async function buildProgram(argv: readonly string[]) {
  dropEmptyVariables()
  const program = commandWithGlobalFlags(PROGRAM)
    .description('A strongly consistent key-value store.')
    .version(version(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .showHelpAfterError(`See: ${PROGRAM} help`)
    .exitOverride()
    .configureHelp({ helpWidth: 100 })
    .configureOutput({
      writeOut: (text) => void io().stdout.write(text),
      writeErr: sayLines,
      outputError: (text, write) => write(inHouseStyle(text)),
    })
    .hook('preAction', (thisCommand) => {
      readVariables(thisCommand)
      refuseStalenessWithoutStale(thisCommand)
      refuseUserAndToken(thisCommand)
      if (thisCommand.opts().color !== false) return
      // The flag overrides the variables.
      io().env.NO_COLOR = '1'
      delete io().env.FORCE_COLOR
    })
  withExamples(program, EXAMPLES)
  const context: ProgramContext = { program, flags: () => program.opts(), argv }
  const names = Object.values(COMMANDS).flatMap((loaders) => Object.keys(loaders))
  const loadsAll = argv.some((arg) => LOADING_ALL.has(arg)) || !argv.some((arg) => names.includes(arg))
  for (const [group, loaders] of Object.entries(COMMANDS)) {
    program.commandsGroup(group)
    for (const [name, load] of Object.entries(loaders)) {
      const isNeeded = loadsAll || argv.includes(name)
      const command = isNeeded ? (await load()).command(context) : new Command(name)
      program.addCommand(command, { hidden: name === HIDDEN })
    }
  }
  inheritSettings(program)
  // Only for the program itself: `kv member rm` means another command.
  program.configureOutput({ outputError: (text, write) => write(withCommandMeant(inHouseStyle(text))) })
  if (loadsAll) {
    const { TOPICS } = await import('./help-topics.ts')
    program.addHelpText('after', `\nTopics: ${PROGRAM} help ${Object.keys(TOPICS).join(' | ')}`)
  }
  return program
}

/** commander knows the variables of this process only. */
function readVariables(program: ReturnType<typeof commandWithGlobalFlags>): void {
  const emitter = program as unknown as NodeJS.EventEmitter
  for (const option of program.options) {
    const value = option.envVar === undefined ? undefined : io().env[option.envVar]
    const isSet = program.getOptionValueSource(option.attributeName() as 'endpoints') !== undefined
    if (value !== undefined && !isSet) emitter.emit(`optionEnv:${option.name()}`, value)
  }
}

/** Without stale reads the flag is an error. The variable applies to stale reads only and is ignored. */
function refuseStalenessWithoutStale(program: ReturnType<typeof commandWithGlobalFlags>): void {
  const { maxStaleness, consistency } = program.opts()
  if (maxStaleness === undefined || consistency === 'stale') return
  if (program.getOptionValueSource('maxStaleness') === 'env')
    program.setOptionValue('maxStaleness', undefined)
  else throw new Failure(EXIT.usage, '--max-staleness is for stale reads: it goes with --consistency stale')
}

/** A flag wins over a variable. Two flags, or two variables, contradict each other. */
function refuseUserAndToken(program: ReturnType<typeof commandWithGlobalFlags>): void {
  const { user, token } = program.opts()
  if (user === undefined || token === undefined) return
  const sources = [program.getOptionValueSource('user'), program.getOptionValueSource('token')]
  if (sources[0] === sources[1])
    throw new Failure(EXIT.usage, '--user and --token (KV_USER and KV_TOKEN) contradict each other')
  program.setOptionValue(sources[0] === 'env' ? 'user' : 'token', undefined)
}

/** Commands are built one by one: errors are thrown, and help looks the same in all of them. */
function inheritSettings(command: CommandUnknownOpts, path: readonly string[] = []): void {
  for (const child of command.commands) {
    const childPath = [...path, child.name()]
    child
      .copyInheritedSettings(command)
      .helpCommand(false)
      .showHelpAfterError(`See: ${PROGRAM} help ${childPath.join(' ')}`)
      .configureOutput({
        outputError: (text, write) =>
          write(withSiblingOption(command, child, withDashes(childPath.join(' '), inHouseStyle(text)))),
      })
      .addHelpText('after', `\nGlobal options, such as --endpoints and --output: ${PROGRAM} help`)
    inheritSettings(child, childPath)
  }
}

/**
 * The arguments without `--help` behind a word that is no command. commander would print the help of the program, as if
 * the word had a meaning, and not that it is unknown.
 */
export function withoutHelpOnUnknown(
  program: CommandUnknownOpts,
  argv: readonly string[],
): readonly string[] {
  let command = program
  for (const word of program.parseOptions([...argv]).operands) {
    if (command.commands.length === 0) return argv
    const next = command.commands.find((child) => child.name() === word)
    if (next === undefined) return argv.filter((arg) => arg !== '--help' && arg !== '-h')
    command = next
  }
  return argv
}

/** The cause of an error follows a colon, and no full stop follows an error. */
const inHouseStyle = (text: string): string =>
  text
    .replace(CHOICES, "$2 must be one of $3, not '$1'")
    .replace(ARGUMENT_VALUE, "$2: $3, not '$1'")
    .replace(OPTION_VALUE, "$1: $4, not '$2'$3")
    .replace(/: Allowed choices are (.*)\., not/, ': one of $1, not')
    .replace(", not ''", '')
    .replace(/\. Expected (.*)\./, ': expected $1')
    .replace(/(too many arguments for '(?:put|get|history)'.*)/, '$1; quote a key with spaces')
    .replace(
      /unknown option '--data(?:=[^']*)?'/,
      '--data is for cluster commands; name the nodes with --endpoints',
    )

const CHOICES =
  /command-argument value '([^']*)' is invalid for argument '([^']*)'. Allowed choices are (.*)\./
const ARGUMENT_VALUE = /command-argument value '(.*)' is invalid for argument '([^']*)'\. (.*)/
/** The long name of the option, the value, the variable that it is from, and what is wrong with it. */
const OPTION_VALUE =
  /option '(?:-\w, )?(--[\w-]+)[^']*' (?:argument|value) '(.*?)'( from env '\w+')? is invalid\. (.*)/

/** Commands of which an argument is a key. */
const WITH_KEY = new Set(['put', 'get', 'del', 'history'])

/** Errors of commands with a key say what to type instead. */
const withDashes = (path: string, text: string): string =>
  WITH_KEY.has(path)
    ? text.replace(
        /^(error: unknown option '-[^-'][^']*')$/m,
        '$1; a key that begins with -: put -- before it',
      )
    : text

/**
 * Names the command of the same group that has the option. commander suggests any similar one, such as the global --key
 * for the --keys of another command.
 */
function withSiblingOption(group: CommandUnknownOpts, command: CommandUnknownOpts, text: string): string {
  const [, flag] = /^error: unknown option '(--[\w-]+)/.exec(text) ?? []
  const others = group.parent === null ? [] : group.commands.filter((each) => each !== command)
  const owners = others.filter(({ options }) => options.some(({ long }) => long === flag))
  if (owners.length === 0) return text
  const names = owners.map((owner) => `${group.name()} ${owner.name()}`).join(', ')
  return `error: unknown option '${flag}'; it is one of: ${names}\n`
}

/** Commands of other stores and shells, with our command that does the same. */
const COMMAND_MEANT: Readonly<Record<string, string>> = {
  set: 'put',
  write: 'put',
  read: 'get',
  cat: 'get',
  rm: 'del',
  remove: 'del',
  delete: 'del',
  list: 'ls',
  keys: 'ls',
  scan: 'ls',
  transaction: 'txn',
  start: 'cluster start',
  stop: 'cluster stop',
  members: 'member list',
  version: '--version',
}

/** commander suggests the most similar spelling, for example get for set. */
function withCommandMeant(text: string): string {
  const [, typed = ''] = /^error: unknown command '([a-z]+)'/.exec(text) ?? []
  if (!Object.hasOwn(COMMAND_MEANT, typed)) return text
  return `error: unknown command '${typed}'\n(Did you mean ${COMMAND_MEANT[typed]}?)\n`
}
