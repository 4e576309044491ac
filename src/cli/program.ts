// The whole command line. The code of a command is loaded when the command runs, so `kv get` does not load `kv import`.

import {
  Argument,
  Command,
  type CommandUnknownOpts,
  InvalidArgumentError,
  Option,
} from '@commander-js/extra-typings'
import { endpointUrl } from '../client/address.ts'
import { didYouMean } from '../client/did-you-mean.ts'
import { Failure } from '../local/failure.ts'
import { PROGRAM } from '../local/program-name.ts'
import { version } from '../server/version.ts'
import type { NewMemberFlags } from './commands/member.ts'
import { SHELLS } from './completion/shells.ts'
import { parseDuration, parseTimeout } from './duration.ts'
import { withExamples } from './examples.ts'
import { EXIT } from './exit-codes.ts'
import { commandWithGlobalFlags, type GlobalFlags } from './global-flags.ts'
import { TOPICS } from './help-topics.ts'
import { write } from './output.ts'

const EXAMPLES = ['kv cluster start', 'kv put greeting hello', 'kv get greeting', 'kv ls', 'kv status']

/** `args` decides what else is loaded: the commands for clusters and nodes are separate modules. */
export async function buildProgram(args: readonly string[]) {
  const program = commandWithGlobalFlags(PROGRAM)
    .description('A strongly consistent key-value store.')
    .version(version(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .showHelpAfterError(`See: ${PROGRAM} help`)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, helpWidth: 100 })
    .hook('preAction', (thisCommand) => {
      refuseStalenessWithoutStale(thisCommand)
      if (thisCommand.opts().color !== false) return
      // The flag overrides the variables.
      process.env.NO_COLOR = '1'
      delete process.env.FORCE_COLOR
    })
  withExamples(program, EXAMPLES)
  const flags = () => program.opts()

  program.commandsGroup('Keys:')
  addKeyCommands(program, flags)
  program.addCommand(watchCommand(flags, args))
  program.addCommand(leaseCommand(flags))
  program.addCommand(lockCommand(flags, args))
  program.addCommand(electCommand(flags, args))
  program.addCommand(queueCommand(flags))
  program.addCommand(serviceCommand(flags))
  program.commandsGroup('Cluster:')
  addClusterCommands(program, flags)
  program.addCommand(await localClusterCommand(args))
  program.addCommand(await nodeCommand(args))
  program.commandsGroup('Help:')
  addHelp(program)
  addCompletion(program, flags)
  adopt(program)
  // Only for this command: `kv member rm` means another one.
  program.configureOutput({ outputError: (text, write) => write(withCommandMeant(text)) })
  program.addHelpText('after', `\nTopics: ${PROGRAM} help ${Object.keys(TOPICS).join(' | ')}`)
  return program
}

/** Without stale reads the flag is an error. The variable applies to stale reads only and is ignored. */
function refuseStalenessWithoutStale(program: ReturnType<typeof commandWithGlobalFlags>): void {
  const { maxStaleness, consistency } = program.opts()
  if (maxStaleness === undefined || consistency === 'stale') return
  if (program.getOptionValueSource('maxStaleness') === 'env')
    program.setOptionValue('maxStaleness', undefined)
  else throw new Failure(EXIT.usage, '--max-staleness is for stale reads: it goes with --consistency stale')
}

function addKeyCommands(program: CommandUnknownOpts, flags: () => GlobalFlags): void {
  program.addCommand(
    withExamples(new Command('put'), [
      'kv put greeting hello',
      'kv put logo @logo.png',
      'date | kv put now -',
      'kv put lock me --if-absent',
      'kv put counter 5 --if-revision 41',
      'kv put code 4711 --ttl 30s',
    ])
      .description('set a key')
      .argument('<key>')
      .argument('[value]', "the value; '-' reads standard input, @FILE a file")
      .option('--value <value>', 'the value as it is, even when it begins with - or @')
      .option('--if-revision <revision>', "only if this is the key's mod revision", parseCount)
      .option('--if-absent', 'only if the key does not exist')
      .option('--ttl <duration>', 'it is deleted after this time, from 1s on', parseLeaseTime)
      .option('--lease <id>', 'it is deleted when this lease ends', parseLease)
      .action(async (key, value, options) => {
        const { put } = await import('./commands/put.ts')
        await put(flags(), keyArgument(key), value, options)
      }),
  )
  program.addCommand(
    withExamples(new Command('get'), [
      'kv get greeting',
      'kv get logo > logo.png',
      'kv get greeting -o json',
      'kv get greeting --consistency stale',
      'kv get greeting --revision 41',
      'kv get services/ --prefix',
    ])
      .description('print the value of a key: its exact bytes')
      .argument('<key>')
      .option('--revision <revision>', 'as it was at this revision', parseRevision)
      .option('--prefix', 'all keys that begin with it, with their values')
      .action(async (key, options) => {
        const { get } = await import('./commands/get.ts')
        await get(flags(), options.prefix === true ? key : keyArgument(key), options)
      }),
  )
  program.addCommand(
    withExamples(new Command('del'), [
      'kv del greeting',
      'kv del lock --if-revision 42',
      'kv del tmp/ --prefix',
      'kv del tmp/ --prefix --yes',
    ])
      .description('delete a key; prints how many there were: 1 or 0')
      .argument('<key>')
      .option('--if-revision <revision>', "only if this is the key's mod revision", parseCount)
      .option('--prefix', 'all keys that begin with it, at one revision')
      .option('--yes', 'with --prefix: do not ask')
      .action(async (key, options) => {
        const { del } = await import('./commands/del.ts')
        await del(flags(), options.prefix === true ? key : keyArgument(key), options)
      }),
  )
  program.addCommand(
    withExamples(new Command('ls'), [
      'kv ls',
      'kv ls services/',
      'kv ls services/ --count',
      'kv ls services/ --values',
      'kv ls --revision 41',
      'kv ls -o json',
    ])
      .description('list keys')
      .argument('[prefix]', 'only keys that begin with it')
      .option('--limit <count>', 'at most this many', parseCount)
      .option('--count', 'print only how many there are')
      .option('--values', 'with their values')
      .option('--revision <revision>', 'as they were at this revision', parseRevision)
      .action(async (prefix, options) => {
        const { ls } = await import('./commands/ls.ts')
        await ls(flags(), prefix, options)
      }),
  )
  program.addCommand(
    withExamples(new Command('txn'), [
      'kv txn',
      'kv txn transfer.txn',
      "printf 'missing lock\\nthen\\n put lock me\\nelse\\n get lock\\n' | kv txn",
      'kv txn transfer.json -o json',
    ])
      .description('compare keys, and do one of two lists of operations, all at one revision')
      .argument(
        '[file]',
        "the transaction; '-' or a pipe reads standard input; on a terminal it is asked for",
      )
      .addHelpText('after', TXN_NOTES)
      .action(async (file) => {
        const { txn } = await import('./commands/txn.ts')
        await txn(flags(), file)
      }),
  )
  program.addCommand(
    withExamples(new Command('import'), [
      'kv import conf/',
      'kv import conf/ --prefix prod/conf/',
      'kv import backup.ndjson',
      'kv export | kv import - --endpoints http://127.0.0.1:8301',
    ])
      .description('store the files of a directory, or the records of an NDJSON file')
      .argument('<source>', `a directory, a file of ${PROGRAM} export, or '-' for standard input`)
      .option('--prefix <prefix>', 'put this in front of every key')
      .option('--strict', 'fail when anything was skipped, or when NDJSON has no end line')
      .addHelpText('after', IMPORT_NOTES)
      .action(async (source, options) => {
        const { importInto } = await import('./commands/import.ts')
        await importInto(flags(), source, options)
      }),
  )
  program.addCommand(
    withExamples(new Command('export'), [
      'kv export > backup.ndjson',
      'kv export prod/conf/ --dir conf --strip-prefix prod/conf/',
    ])
      .description('print all records of one revision as NDJSON, or write them as files')
      .argument('[prefix]', 'only keys that begin with it')
      .option('--dir <directory>', 'write a file for each key below this directory')
      .option('--strip-prefix <prefix>', 'take this off the front of keys')
      .option('--force', 'overwrite files whose content differs')
      .addHelpText('after', EXPORT_NOTES)
      .action(async (prefix, options) => {
        const { exportFrom } = await import('./commands/export.ts')
        await exportFrom(flags(), prefix, options)
      }),
  )
}

function addClusterCommands(program: CommandUnknownOpts, flags: () => GlobalFlags): void {
  program.addCommand(
    withExamples(new Command('status'), ['kv status', 'kv status -o json'])
      .description('what every node says of itself')
      .action(async () => {
        const { status } = await import('./commands/status.ts')
        await status(flags())
      }),
  )
  program.addCommand(memberCommand(flags))
  program.addCommand(
    new Command('leader').description('move leadership').addCommand(
      withExamples(new Command('transfer'), ['kv leader transfer', 'kv leader transfer n2'])
        .description('hand leadership to another node')
        .argument('[node]', 'its name; without it, the node that is best prepared', parseText)
        .action(async (node) => {
          const { transferLeader } = await import('./commands/leader.ts')
          await transferLeader(flags(), node)
        }),
    ),
  )
  program.addCommand(
    withExamples(new Command('compact'), ['kv compact 4200'])
      .description('forget how the store was before a revision')
      .argument('<revision>', 'the first one that can still be read', parseRevision)
      .action(async (revision) => {
        const { compact } = await import('./commands/compact.ts')
        await compact(flags(), revision)
      }),
  )
  program.addCommand(
    withExamples(new Command('settings'), ['kv settings', 'kv settings set leases=on value_bytes_max=65536'])
      .description('the replicated limits and switches of the cluster')
      .addCommand(
        withExamples(new Command('list'), ['kv settings', 'kv settings list -o json'])
          .description('print them')
          .action(async () => {
            const { listSettings } = await import('./commands/settings.ts')
            await listSettings(flags())
          }),
        { isDefault: true },
      )
      .addCommand(
        withExamples(new Command('set'), [
          'kv settings set leases=on',
          'kv settings set value_bytes_max=65536 store_bytes_max=1073741824',
        ])
          .description('change some of them, all at once')
          .argument('<name=value...>', 'a value is a whole number, on or off')
          .action(async (assignments) => {
            const { changeSettings } = await import('./commands/settings.ts')
            await changeSettings(flags(), assignments)
          }),
      ),
  )
}

/** `args`: what stands behind `--` is the command to run, which the parser does not tell from a key. */
function watchCommand(flags: () => GlobalFlags, args: readonly string[]) {
  return withExamples(new Command('watch'), [
    'kv watch greeting',
    'kv watch --prefix services/ --prev',
    "kv watch --prefix '' -o ndjson",
    'kv watch --prefix conf/ --from 41 --only put',
    'kv watch --prefix conf/ --exec -- ./reload.sh --now',
  ])
    .description('print every change of a key, or of all keys that begin with a prefix')
    .argument('[key]')
    .argument('[command...]', 'with --exec, behind --')
    .option('--prefix <prefix>', "all keys that begin with it; '' are all keys")
    .option(
      '--from <revision>',
      'begin with the changes of this revision; otherwise with the next',
      parseRevision,
    )
    .option('--prev', 'also what the keys were before')
    .addOption(new Option('--only <change>', 'only these changes').choices(['put', 'delete'] as const))
    .option('--exec', 'run the command for each revision: its events as JSON on standard input, KV_REVISION')
    .action(async (key, more, options) => {
      const { watch } = await import('./commands/watch.ts')
      const { words, command } = splitAtDashes([...(key === undefined ? [] : [key]), ...more], args)
      await watch(flags(), words, command, options)
    })
}

/** `all`: the words of a command, of which the last stand behind `--`, where there is one in `args`. */
function splitAtDashes(all: readonly string[], args: readonly string[]) {
  const dashes = args.indexOf('--')
  const before = dashes < 0 ? all.length : Math.max(0, all.length - (args.length - dashes - 1))
  return { words: all.slice(0, before), command: all.slice(before) }
}

const BEHIND_DASHES =
  'behind --; KV_LOCK_TOKEN is the fencing token, KV_LOCK_KEY the key of which it is the create revision'

function lockCommand(flags: () => GlobalFlags, args: readonly string[]) {
  return withExamples(new Command('lock'), [
    'kv lock deploy -- ./deploy.sh production',
    'kv lock deploy --wait 10s -- make install',
    'kv lock deploy',
  ])
    .description('hold a lock while a command runs, or until Ctrl-C')
    .argument('<name>', 'of the lock', parseText)
    .argument('[command...]', BEHIND_DASHES)
    .option(
      '--wait <duration>',
      'how long to wait for it; 0s: not at all. Otherwise as long as it takes',
      parseDuration,
    )
    .option('--ttl <duration>', 'how long it stays taken after this process has died (10s)', parseLeaseTime)
    .action(async (name, more, options) => {
      const { lockCommand } = await import('./commands/lock.ts')
      const { words, command } = splitAtDashes([name, ...more], args)
      await lockCommand(flags(), nameOf(words, 1), command, options)
    })
}

function electCommand(flags: () => GlobalFlags, args: readonly string[]) {
  return withExamples(new Command('elect'), [
    'kv elect scheduler -- node scheduler.js',
    'kv elect scheduler http://10.0.0.1:8080 -- ./serve.sh',
    'kv elect scheduler --listen',
  ])
    .description('be elected, and lead while a command runs, or until Ctrl-C')
    .argument('<name>', 'of the election', parseText)
    .argument(
      '[value...]',
      `what others see of this leader, such as its address; and the command, ${BEHIND_DASHES}`,
    )
    .option('--listen', 'print each leader, until Ctrl-C')
    .option(
      '--wait <duration>',
      'how long to wait; 0s: not at all. Otherwise as long as it takes',
      parseDuration,
    )
    .option(
      '--ttl <duration>',
      'how long another one waits after this process has died (10s)',
      parseLeaseTime,
    )
    .action(async (name, more, { listen, ...options }) => {
      const { electCommand, listenToElection } = await import('./commands/lock.ts')
      const { words, command } = splitAtDashes([name, ...more], args)
      const election = nameOf(words, 2)
      if (listen !== true) return electCommand(flags(), election, words[1], command, options)
      if (words.length + command.length > 1 || Object.keys(options).length > 0)
        throw new Failure(EXIT.usage, '--listen takes no value, no command and no other flag')
      await listenToElection(flags(), election)
    })
}

/** The first of at most `most` words. What is left stood before `--`, or without it. */
function nameOf(words: readonly string[], most: number): string {
  const [name = '', ...more] = words
  if (words.length === 0) throw new Failure(EXIT.usage, 'the name stands before --')
  if (words.length > most)
    throw new Failure(EXIT.usage, `a command stands behind --, as in: -- ${more.slice(most - 1).join(' ')}`)
  return name
}

function leaseCommand(flags: () => GlobalFlags) {
  return new Command('lease')
    .description('leases: their keys are deleted when they end')
    .addCommand(
      withExamples(new Command('grant'), ['kv lease grant 30s', 'kv lease grant 10m --id 77'])
        .description('grant a lease; prints its id')
        .argument('<ttl>', 'its time to live: 1s or more', parseLeaseTime)
        .option('--id <id>', 'instead of one that the cluster chooses', parseLease)
        .action(async (ttlMs, { id }) => {
          const { grantLease } = await import('./commands/lease.ts')
          await grantLease(flags(), { ttlMs, id })
        }),
    )
    .addCommand(
      withExamples(new Command('keep-alive'), ['kv lease keep-alive 77', 'kv lease keep-alive 77 --once'])
        .description('keep a lease alive until Ctrl-C')
        .argument('<id>', 'of the lease', parseLease)
        .option('--once', 'one time; prints its time to live in milliseconds')
        .action(async (id, options) => {
          const { keepLeaseAlive } = await import('./commands/lease.ts')
          await keepLeaseAlive(flags(), id, options)
        }),
    )
    .addCommand(
      withExamples(new Command('revoke'), ['kv lease revoke 77'])
        .description('end a lease and delete its keys')
        .argument('<id>', 'of the lease', parseLease)
        .action(async (id) => {
          const { revokeLease } = await import('./commands/lease.ts')
          await revokeLease(flags(), id)
        }),
    )
    .addCommand(
      withExamples(new Command('show'), ['kv lease show 77', 'kv lease show 77 --keys -o json'])
        .description('what is left of a lease')
        .argument('<id>', 'of the lease', parseLease)
        .option('--keys', 'with its keys')
        .action(async (id, options) => {
          const { showLease } = await import('./commands/lease.ts')
          await showLease(flags(), id, options)
        }),
    )
    .addCommand(
      withExamples(new Command('list'), ['kv lease list', 'kv lease list -o ndjson'])
        .description('all leases')
        .action(async () => {
          const { listLeases } = await import('./commands/lease.ts')
          await listLeases(flags())
        }),
    )
}

function queueCommand(flags: () => GlobalFlags) {
  return new Command('queue')
    .description('a work queue: each item is done by one consumer')
    .addCommand(
      withExamples(new Command('push'), [
        'kv queue push mail hello',
        'kv queue push mail @letter.txt --priority 5',
        'kv queue push mail later --delay 10m',
      ])
        .description('add an item; prints its id')
        .argument('<name>', 'of the queue', parseText)
        .argument('[value]', "the item; '-' reads standard input, @FILE a file")
        .option('--value <value>', 'the item as it is, even when it begins with - or @')
        .option('--priority <number>', 'from 0 to 999; higher first', parsePriority)
        .option('--delay <duration>', 'it cannot be taken before; from 1s', parseLeaseTime)
        .action(async (name, value, options) => {
          const { queuePush } = await import('./commands/queue.ts')
          await queuePush(flags(), name, value, options)
        }),
    )
    .addCommand(
      withExamples(new Command('pop'), ['kv queue pop mail', 'kv queue pop mail --wait 10s'])
        .description('take the next item and print it; it is done when it is printed')
        .argument('<name>', 'of the queue', parseText)
        .option('--wait <duration>', 'how long to wait for one', parseTimeout)
        .action(async (name, options) => {
          const { queuePop } = await import('./commands/queue.ts')
          await queuePop(flags(), name, options)
        }),
    )
    .addCommand(
      withExamples(new Command('peek'), ['kv queue peek mail'])
        .description('print the next item without taking it')
        .argument('<name>', 'of the queue', parseText)
        .action(async (name) => {
          const { queuePeek } = await import('./commands/queue.ts')
          await queuePeek(flags(), name)
        }),
    )
    .addCommand(
      withExamples(new Command('len'), ['kv queue len mail', 'kv queue len mail -o json'])
        .description('how many items are ready, held or delayed, and dead')
        .argument('<name>', 'of the queue', parseText)
        .action(async (name) => {
          const { queueLength } = await import('./commands/queue.ts')
          await queueLength(flags(), name)
        }),
    )
}

function serviceCommand(flags: () => GlobalFlags) {
  return new Command('service')
    .description('the instances of a service that run')
    .addCommand(
      withExamples(new Command('register'), [
        'kv service register api http://10.0.0.1:80',
        `kv service register api http://10.0.0.1:80 --weight 2 --meta '{"zone":"east"}'`,
      ])
        .description('register an instance until Ctrl-C; prints its id')
        .argument('<name>', 'of the service', parseText)
        .argument('<url>', 'of the instance', parseText)
        .option('--id <id>', 'of the instance; otherwise a random one', parseText)
        .option('--weight <number>', 'its share of what is resolved', parseWeight)
        .option('--meta <json>', 'an object')
        .option('--ttl <duration>', 'it goes after this time without its process; from 1s', parseLeaseTime)
        .action(async (name, url, options) => {
          const { registerService } = await import('./commands/service.ts')
          await registerService(flags(), name, url, options)
        }),
    )
    .addCommand(
      withExamples(new Command('list'), ['kv service list api'])
        .description('print the instances')
        .argument('<name>', 'of the service', parseText)
        .action(async (name) => {
          const { listServices } = await import('./commands/service.ts')
          await listServices(flags(), name)
        }),
    )
    .addCommand(
      withExamples(new Command('watch'), ['kv service watch api', 'kv service watch api -o ndjson'])
        .description('print the instances now and after each change, until Ctrl-C')
        .argument('<name>', 'of the service', parseText)
        .action(async (name) => {
          const { watchServices } = await import('./commands/service.ts')
          await watchServices(flags(), name)
        }),
    )
}

function memberCommand(flags: () => GlobalFlags) {
  return new Command('member')
    .description('see and change who belongs to the cluster')
    .addCommand(
      withExamples(new Command('list'), ['kv member list'])
        .description('name, role and addresses of every member')
        .action(async () => {
          const { listMembers } = await import('./commands/member.ts')
          await listMembers(flags())
        }),
    )
    .addCommand(
      withReplicaFlags(
        withExamples(new Command('add'), [
          'kv member add n4 --replica-id 1234 --peer 127.0.0.1:9104 --url http://127.0.0.1:7304',
        ]),
      )
        .description('add a node as a learner; it becomes a voter once it has caught up')
        .argument('<name>', '', parseText)
        .action(async (name, options) => {
          const { addMember } = await import('./commands/member.ts')
          await addMember(flags(), name, options satisfies NewMemberFlags)
        }),
    )
    .addCommand(
      withExamples(new Command('remove'), ['kv member remove n4'])
        .description('take a node out; refused when the rest would have no quorum')
        .argument('<name>', '', parseText)
        .action(async (name) => {
          const { removeMember } = await import('./commands/member.ts')
          await removeMember(flags(), name)
        }),
    )
    .addCommand(
      withReplicaFlags(
        withExamples(new Command('replace'), [
          'kv member replace n3 --replica-id 5678 --peer 127.0.0.1:9103 --url http://127.0.0.1:7303',
        ]),
      )
        .description('drop a lost replica and add a new one in its place, in one change')
        .argument('<name>', '', parseText)
        .option('--name <name>', 'a new name for it', parseText)
        .action(async (name, options) => {
          const { replaceMember } = await import('./commands/member.ts')
          await replaceMember(flags(), name, options)
        }),
    )
}

function withReplicaFlags(command: Command) {
  return command
    .requiredOption('--replica-id <id>', 'the id that its data directory was formatted with', parseText)
    .requiredOption('--peer <host:port>', 'its peer listener', parseText)
    .requiredOption('--url <url>', 'its HTTP API', parseUrl)
}

/** Listed in every help, and loaded only if needed. */
async function localClusterCommand(args: readonly string[]): Promise<CommandUnknownOpts> {
  if (isMeant('cluster', args)) return (await import('./cluster/commands.ts')).clusterCommand()
  return new Command('cluster').description('run a cluster on this machine, and break it')
}

async function nodeCommand(args: readonly string[]): Promise<CommandUnknownOpts> {
  if (isMeant('node', args)) return (await import('./node.ts')).nodeCommand()
  return new Command('node').description('run a single node')
}

/** May be true without need, as in `kv put cluster x`, but is always true if needed. Completion needs all commands. */
const isMeant = (name: string, args: readonly string[]): boolean =>
  args.includes(name) || args.includes('complete')

/** `completion SHELL` prints a script, which runs the hidden `complete` at each Tab. */
function addCompletion(program: CommandUnknownOpts, flags: () => GlobalFlags): void {
  program.addCommand(
    withExamples(new Command('completion'), [
      'source <(kv completion bash)',
      'source <(kv completion zsh)',
      'kv completion fish | source',
    ])
      .description('print a completion script')
      .addArgument(new Argument('<shell>').choices(SHELLS))
      .action(async (shell) => {
        const { script } = await import('./completion/scripts.ts')
        await write(script(shell, PROGRAM))
      }),
  )
  program.addCommand(
    new Command('complete')
      .argument('<form>')
      .argument('[words...]')
      .action(async (form, words) => {
        const { complete } = await import('./completion/index.ts')
        await complete(program, flags(), form, words)
      }),
    { hidden: true },
  )
}

function addHelp(program: CommandUnknownOpts): void {
  program.addCommand(
    withExamples(new Command('help'), ['kv help', 'kv help put', 'kv help exit-codes'])
      .description('print help on a command or a topic')
      .argument('[topic...]', `a command, or one of: ${Object.keys(TOPICS).join(', ')}`)
      .action((words) => printHelp(program, words)),
  )
}

function printHelp(program: CommandUnknownOpts, words: readonly string[]): void {
  let command = program
  for (const word of words) {
    const next = command.commands.find((candidate) => candidate.name() === word)
    const topic = command === program && Object.hasOwn(TOPICS, word) ? TOPICS[word] : undefined
    if (next === undefined && topic !== undefined) {
      process.stdout.write(`${topic.text}\n`)
      return
    }
    if (next === undefined) {
      const known = command.commands.map((candidate) => candidate.name())
      const near = didYouMean(word, command === program ? [...known, ...Object.keys(TOPICS)] : known)
      const hint = near === undefined ? '' : `\n(Did you mean ${near}?)`
      throw new Failure(EXIT.usage, `there is no command or topic ${JSON.stringify(word)}${hint}`)
    }
    command = next
  }
  command.outputHelp()
}

/** Gives separately built commands the settings of the program: errors are thrown, and help looks the same. */
function adopt(command: CommandUnknownOpts, path: readonly string[] = []): void {
  for (const child of command.commands) {
    const childPath = [...path, child.name()]
    child
      .copyInheritedSettings(command)
      .helpCommand(false)
      .showHelpAfterError(`See: ${PROGRAM} help ${childPath.join(' ')}`)
    adopt(child, childPath)
  }
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
}

/** commander suggests the most similar spelling, for example get for set. */
function withCommandMeant(text: string): string {
  const [, typed = ''] = /^error: unknown command '([a-z]+)'/.exec(text) ?? []
  if (!Object.hasOwn(COMMAND_MEANT, typed)) return text
  return `error: unknown command '${typed}'\n(Did you mean ${COMMAND_MEANT[typed]}?)\n`
}

function keyArgument(key: string): string {
  if (key === '') throw new Failure(EXIT.usage, 'a key has at least one byte')
  return key
}

function parsePriority(text: string): number {
  const priority = parseCount(text)
  if (priority <= 999) return priority
  throw new InvalidArgumentError('It must be from 0 to 999.')
}

/** What a lease can last. */
function parseLeaseTime(text: string): number {
  const ms = parseDuration(text)
  if (ms >= 1_000 && ms <= LEASE_TIME_MS_MAX) return ms
  throw new InvalidArgumentError('It must be from 1s to 87600h (ten years).')
}

function parseLease(text: string): string {
  if (/^[1-9][0-9]{0,19}$/.test(text) && BigInt(text) < 2n ** 64n) return text
  throw new InvalidArgumentError('The id of a lease is a decimal number of 64 bits.')
}

function parseWeight(text: string): number {
  const weight = Number(text)
  if (/^[0-9]+([.][0-9]+)?$/.test(text) && Number.isFinite(weight)) return weight
  throw new InvalidArgumentError('It must be a number from 0 on.')
}

function parseText(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.')
  return text
}

function parseUrl(text: string): string {
  try {
    endpointUrl(text)
  } catch (error) {
    throw new InvalidArgumentError(`${error instanceof Error ? error.message : error}.`)
  }
  return text
}

function parseRevision(text: string): number {
  const revision = parseCount(text)
  if (revision > 0) return revision
  throw new InvalidArgumentError('The first revision is 1.')
}

function parseCount(text: string): number {
  const count = Number(text)
  if (/^[0-9]+$/.test(text) && Number.isSafeInteger(count)) return count
  throw new InvalidArgumentError('It must be a whole number.')
}

const LEASE_TIME_MS_MAX = 87_600 * 3_600_000

const TXN_NOTES = `
Each comparison and each operation has a line of its own:

  version(jobs/42) = 0            value, version, create_revision, mod_revision, lease;  = != < >
  exists jobs/41                  or: missing KEY
  version(prefix tmp/) = 0        for every key of a range
  then                            what is done if all of them hold
    put jobs/42 "two words" prev
    get prefix jobs/ limit 10
  else                            what is done otherwise
    delete range a b

It may also be JSON, the body of POST /v1/txn. The exit code is 0 whichever list was done; the first line of
the output says which. All of it: docs/reference/txn.md.`

const IMPORT_NOTES = `
Keys are the paths relative to the directory. Symlinks, sockets, pipes, empty directories and values over the
limit of the cluster are skipped, named and counted; the exit code is 0, with --strict 1. Existing keys are
overwritten. Each write is tried for a minute unless --timeout says otherwise, so a fail-over only delays it.
The last record of a key wins. NDJSON without an end line may be cut off: a warning, with --strict an error.`

const EXPORT_NOTES = `
With --dir nothing is ever written outside the directory or through a symlink in it. Keys that are no safe
relative path, and files that are there with other content, are named and left out; the exit code is then 1.
So is the second of two keys that --strip-prefix would make one.`
