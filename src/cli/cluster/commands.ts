// `kv cluster …`: the command line of the local cluster. The code of a command is loaded when it runs. An action ends
// normally (exit code 0) or with a `Failure`, which carries the exit code.

import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import { BUMP_DEFAULT } from '../../backup/bump.ts'
import { DEFAULT_DATA } from '../../local/directory/cluster-file.ts'
import { DEFAULT_NODES, DEFAULT_PORT, NODES_MAX } from '../../local/directory/plan.ts'
import { Failure } from '../../local/failure.ts'
import { dataFlag } from '../../local/node/recovery-hints.ts'
import { PROGRAM } from '../../local/program-name.ts'
import type { ControlRequest, NodeCommand } from '../../operations/documents/supervisor.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { knownAuthorization, readAuthorization } from '../flags/credentials.ts'
import { directory, parseText } from '../flags/flag-values.ts'
import { outputFormat } from '../flags/global-flags.ts'
import {
  BUMP_HELP,
  newRootHash,
  PASSWORD_FILE,
  PASSWORD_FILE_HELP,
  parseBump,
  RESET_ROOT,
  RESET_ROOT_HELP,
} from '../flags/new-cluster-flags.ts'
import { userPath } from '../terminal/io.ts'
import { say } from '../terminal/output.ts'
import { keyCount } from '../terminal/progress.ts'
import { confirm } from '../terminal/questions.ts'
import { exchange, notRunning, orThrow, resolvePath, sendRequest } from './requests.ts'

const DATA = '--data <dir>'
const DATA_HELP = 'directory of the cluster'
const YES = '--yes'
const NODE = 'name of the node, such as n1; or leader, or follower'

export function clusterCommand({ flags }: ProgramContext) {
  const cluster = withExamples(new Command('cluster'), [
    'kv cluster start',
    'kv cluster status -o json',
    'kv cluster kill n1',
    'kv cluster restart n1',
    'kv cluster partition n1 n2,n3',
    'kv cluster rejoin n3',
  ]).description('run a cluster on this machine, and break it')
  cluster.addCommand(startCommand(flags))
  cluster.addCommand(statusCommand(flags))
  cluster.addCommand(stopCommand())
  cluster.addCommand(destroyCommand())
  cluster.addCommand(nodeCommand('kill', 'end a node at once, as a crash would (SIGKILL)'))
  cluster.addCommand(nodeCommand('pause', 'stop the process of a node; its connections stay (SIGSTOP)'))
  cluster.addCommand(nodeCommand('resume', 'continue a paused node (SIGCONT)'))
  cluster.addCommand(
    nodeCommand('restart', 'start a node, or stop and start a running one; returns when it is ready'),
  )
  cluster.addCommand(partitionCommand())
  cluster.addCommand(cutCommand())
  cluster.addCommand(healCommand())
  cluster.addCommand(rejoinCommand(flags))
  cluster.addCommand(restoreCommand())
  return cluster
}

function startCommand(flags: ProgramContext['flags']) {
  return withExamples(new Command('start'), [
    'kv cluster start',
    'kv cluster start --detach --nodes 5',
    'kv cluster start --data /tmp/second --port 7401',
  ])
    .description('start a cluster, or continue the one in --data; in the foreground until Ctrl-C')
    .option('--nodes <count>', 'number of nodes (default: as many as the cluster has, or 3)', parseNodeCount)
    .option('--port <port>', 'client port of n1; n2 gets the next one, and so on (default: 7301)', firstPort)
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .option('--detach', 'return when the cluster is ready, and leave it running')
    .option('--tls', 'with certificates, which are made in the directory of the cluster')
    .option('--direct', 'without the relays between the nodes: no partitions, for benchmarks')
    .option('--no-console', 'without the console, a page that shows the cluster and breaks it')
    .option('--no-etcd-api', 'do not serve clients of etcd')
    .action(async (options) => {
      const { runClusterStart } = await import('./start.ts')
      const { startReport } = await import('./report.ts')
      await runClusterStart(
        {
          dataDir: resolvePath(options.data),
          nodes: options.nodes,
          port: options.port,
          direct: options.direct === true,
          tls: options.tls === true,
          console: options.console,
          etcdApi: options.etcdApi,
          authorization: knownAuthorization(flags()),
        },
        options.detach === true,
        startReport(options.data, outputFormat(flags())),
      )
    })
}

function statusCommand(flags: ProgramContext['flags']) {
  return withExamples(new Command('status'), ['kv cluster status', 'kv cluster status -o json'])
    .description('show the nodes: role, process, state and replication progress')
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action(async (options) => {
      const reply = await sendRequest(options.data, { command: 'status' })
      const { consoleLine, showStatus } = await import('./report.ts')
      const format = outputFormat(flags())
      if (reply.status) await showStatus(reply.status, format)
      if (reply.console !== undefined && format !== 'json' && format !== 'ndjson')
        say(consoleLine(reply.console))
      if (reply.message !== '') for (const line of reply.message.split('\n')) say(line)
    })
}

function stopCommand() {
  return withExamples(new Command('stop'), ['kv cluster stop'])
    .description('end every node and the supervisor; the data stays')
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action(async ({ data }) => {
      const { stopCluster } = await import('../../local/supervisor/stop-cluster.ts')
      const ran = await stopCluster(resolvePath(data))
      say(
        ran
          ? `the cluster is stopped and its data kept; ${PROGRAM} cluster start${dataFlag(data)} resumes it`
          : notRunning(data),
      )
    })
}

function destroyCommand() {
  return withExamples(new Command('destroy'), [
    'kv cluster destroy',
    'kv cluster destroy --data /tmp/second --yes',
  ])
    .description('stop the cluster and delete its data; asks first when it runs')
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .option(YES, 'do not ask; needed without a terminal when the cluster runs')
    .action(async ({ data, yes }) => {
      const { destroyCluster } = await import('../../local/supervisor/stop-cluster.ts')
      const existed = await destroyCluster(resolvePath(data), async () => {
        if (yes === true) return
        await confirm(`the cluster in ${data} runs; destroy ends it and deletes its data`)
      })
      say(existed ? `the cluster in ${data} is deleted` : `there is no cluster in ${data}`)
    })
}

function rejoinCommand(globalFlags: ProgramContext['flags']) {
  return withExamples(new Command('rejoin'), ['kv cluster rejoin n1', 'kv cluster rejoin follower --yes'])
    .description(
      'replace a node whose data is damaged or lost by a fresh replica; the old data is moved aside; asks first when the node is healthy',
    )
    .argument('<node>', NODE)
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .option(YES, 'do not ask; needed without a terminal when the node is healthy')
    .action(async (node, { data, yes }) => {
      const authorization = await readAuthorization(globalFlags())
      const request = { command: 'rejoin', node, evenIfHealthy: yes === true, authorization } as const
      const reply = await exchange(data, request)
      if (reply.ok || reply.healthy === undefined) return say(orThrow(reply).message)
      await confirm(reply.message)
      await execute(data, { ...request, node: reply.healthy, evenIfHealthy: true })
    })
}

function restoreCommand() {
  return withExamples(new Command('restore'), ['kv cluster restore store.backup', 'kv cluster start'])
    .description('make a cluster in --data from a backup; cluster start starts it')
    .argument('<file>', 'the backup')
    .option('--nodes <count>', 'number of nodes', parseNodeCount, DEFAULT_NODES)
    .option('--port <port>', 'client port of n1; n2 gets the next one, and so on', firstPort, DEFAULT_PORT)
    .option(RESET_ROOT, RESET_ROOT_HELP)
    .option(PASSWORD_FILE, PASSWORD_FILE_HELP, parseText)
    .option('--bump <revisions>', BUMP_HELP, parseBump, BUMP_DEFAULT)
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action(async (file, { data, nodes, port, bump, ...flagsOfRoot }) => {
      const { restoreCluster } = await import('./restore.ts')
      const rootPasswordHash = await newRootHash(flagsOfRoot)
      const { state, hasRootPassword } = await restoreCluster(userPath(file), {
        dataDir: resolvePath(data),
        nodes,
        port,
        bump,
        rootPasswordHash,
      })
      if (state.auth.enabled && !hasRootPassword)
        say(
          'rights are checked, and root has no password: start it with --tls, which makes a certificate of root, or restore with --reset-root',
        )
      say(
        `a cluster of ${nodes} with ${keyCount(state.keys)} at revision ${state.revision}; ${PROGRAM} cluster start${dataFlag(data)} starts it`,
      )
    })
}

function nodeCommand(command: NodeCommand, description: string) {
  return withExamples(new Command(command), [`kv cluster ${command} n1`])
    .description(description)
    .argument('<node>', NODE)
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action((node, { data }) => execute(data, { command, node }))
}

function partitionCommand() {
  return withExamples(new Command('partition'), [
    'kv cluster partition n1 n2,n3',
    'kv cluster partition n1 --reset',
    'kv cluster heal',
  ])
    .description('cut the network between groups of nodes: bytes stop, connections stay')
    .argument(
      '<group...>',
      'names joined by commas, as in: n1 n2,n3 (or leader, follower); nodes not named form one more group',
    )
    .option('--reset', 'close the connections between the groups as well')
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action(async (groups, { reset, data }) => {
      const request: ControlRequest = {
        command: 'partition',
        groups: groups.map((group) => group.split(',').filter((name) => name !== '')),
        reset: reset === true,
      }
      await execute(data, request)
    })
}

function cutCommand() {
  return withExamples(new Command('cut'), ['kv cluster cut n1 n2', 'kv cluster cut leader n3 --one-way'])
    .description('cut the network between two nodes; all other links stay as they are')
    .argument('<from>', NODE)
    .argument('<to>', NODE)
    .option('--one-way', 'only what the first node sends to the second one is lost')
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action((from, to, { oneWay, data }) =>
      execute(data, { command: 'cut', from, to, both: oneWay !== true }),
    )
}

function healCommand() {
  return withExamples(new Command('heal'), ['kv cluster heal', 'kv cluster heal n1 n2'])
    .description('undo every partition and every cut, or the cut between two nodes')
    .argument('[from]', NODE)
    .argument('[to]', NODE)
    .option('--one-way', 'only what the first node sends to the second one passes again')
    .option(DATA, DATA_HELP, directory, DEFAULT_DATA)
    .action((from, to, { oneWay, data }) => {
      if (from === undefined) return execute(data, { command: 'heal', link: undefined })
      if (to === undefined)
        throw new Failure(EXIT.usage, `a second node is missing: ${PROGRAM} cluster heal ${from} NODE`)
      return execute(data, { command: 'heal', link: { from, to, both: oneWay !== true } })
    })
}

async function execute(data: string, request: ControlRequest): Promise<void> {
  say((await sendRequest(data, request)).message)
}

/** Returns NaN if the text is not a whole number. */
const wholeNumber = (text: string): number => (/^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN)

function parseNodeCount(text: string): number {
  const count = wholeNumber(text)
  if (count >= 1 && count <= NODES_MAX) return count
  throw new InvalidArgumentError(`a local cluster has 1 to ${NODES_MAX} nodes`)
}

function firstPort(text: string): number {
  const port = wholeNumber(text)
  if (port >= 1 && port + NODES_MAX <= 65_536) return port
  throw new InvalidArgumentError(
    `a port is a number from 1 to ${65_536 - NODES_MAX}; the other nodes use the next ports`,
  )
}
