// `kv cluster start`: runs a cluster in the foreground until Ctrl-C, or with --detach in a process that stays.

import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { parsePort } from '../../local/addresses.ts'
import { compileCacheEnv, siblingModule } from '../../local/child-module.ts'
import type { ControlAddress } from '../../local/directory/cluster-file.ts'
import { createDataDirectory } from '../../local/directory/data-directory.ts'
import { DEFAULT_NODES, nodeCountMismatch } from '../../local/directory/plan.ts'
import { Failure, writing } from '../../local/failure.ts'
import { PROGRAM, PROGRAM_ENV } from '../../local/program-name.ts'
import { stopSupervisor, supervisorExit } from '../../local/supervisor/stop-cluster.ts'
import { type FormedCluster, Supervisor, type SupervisorOptions } from '../../local/supervisor/supervisor.ts'
import { findSupervisor } from '../../local/supervisor/supervisor-lock.ts'
import { sendCommand } from '../../local/supervisor/supervisor-socket.ts'
import { OPEN_FILES_MIN, openFilesMax } from '../../server/node/observe/descriptors.ts'
import { EXIT } from '../exit-codes.ts'
import { io } from '../terminal/io.ts'
import { onStopSignals, type StopSignal } from '../terminal/stop-signals.ts'
import { printEvent, type StartReport } from './report.ts'

/** Files of a supervisor beside its relays: the runtime, the control socket, and a channel and a log for each node. */
const SUPERVISOR_FILES = 64
/** A listener and two sockets. */
const RELAY_FILES = 3

/** Connections of the console, and those to nodes (console-server.ts). */
const CONSOLE_FILES = 128

/** The message to the supervisor that --detach starts (supervisor-process.ts). */
export type ToSupervisor = SupervisorOptions

/** The one message from it. */
export type FromSupervisor =
  | ({ readonly kind: 'formed' } & FormedCluster)
  /** Another supervisor holds the directory. */
  | { readonly kind: 'held'; readonly holder: ControlAddress }
  | { readonly kind: 'failed'; readonly exitCode: number; readonly reason: string }

export async function runClusterStart(
  options: SupervisorOptions,
  detach: boolean,
  report: StartReport,
): Promise<void> {
  const running = await findSupervisor(options.dataDir)
  if (running && (await showRunning(running, options, report))) return
  checkOpenFiles(options)
  if (io().stderr.isTTY) report.say('starting the nodes …')
  return detach ? startDetached(options, report) : startForeground(options, report)
}

/** With fewer files a start would fail at some later point, and not say why. */
function checkOpenFiles({ nodes = DEFAULT_NODES, console }: SupervisorOptions): void {
  const relays = nodes * (nodes - 1) * RELAY_FILES
  const needed = Math.max(OPEN_FILES_MIN, SUPERVISOR_FILES + relays + (console === true ? CONSOLE_FILES : 0))
  if (openFilesMax() >= needed) return
  throw new Failure(
    1,
    `this process may have ${openFilesMax()} open files, but a cluster of ${nodes} needs ${needed}; raise the limit with ulimit -n 4096`,
  )
}

/** Shows the running cluster as soon as it is formed. Returns false if it was ending, and has ended now. */
async function showRunning(
  running: ControlAddress,
  { dataDir, nodes, port, tls, direct, etcdApi }: SupervisorOptions,
  { show }: StartReport,
): Promise<boolean> {
  const reply = await sendCommand(running, { command: 'formed', tls: tls === true, direct, etcdApi })
  if (!reply.ok && reply.supervisor !== undefined) {
    if (reply.supervisor === 'stopping') await stopSupervisor(running)
    else await supervisorExit(running)
    return false
  }
  if (!reply.ok) throw new Failure(reply.exitCode, reply.message)
  if (!reply.status) throw new Failure(1, reply.message)
  const count = reply.status.nodes.length
  if (nodes !== undefined && nodes !== count) throw new Failure(2, nodeCountMismatch(dataDir, count, nodes))
  const [first] = reply.status.nodes
  const firstPort = first && parsePort(first.url)
  if (port !== undefined && port !== firstPort)
    throw new Failure(
      2,
      `the cluster in ${dataDir} runs, and n1 is at port ${firstPort}; to move it to other ports: ${PROGRAM} cluster stop, then start it with --port ${port}`,
    )
  await show(reply.status, 'running', reply.console)
  return true
}

async function startForeground(options: SupervisorOptions, report: StartReport): Promise<void> {
  const supervisor = await Supervisor.start(options)
  if ('holder' in supervisor) {
    if (await showRunning(supervisor.holder, options, report)) return
    return startForeground(options, report)
  }
  let signal: StopSignal | undefined
  onStopSignals(
    (received) => {
      signal = received
      report.say('stopping …')
      void supervisor.stop()
    },
    () => void supervisor.killAll(),
  )
  try {
    const { status, problems, console } = await supervisor.formed()
    await report.show(status, 'foreground', console)
    for (const problem of problems) report.say(problem)
    supervisor.watch((event) => {
      if (signal === undefined) printEvent(event)
    })
  } catch (error) {
    if (signal === undefined) throw error
  }
  await supervisor.stopped
  if (signal === 'SIGINT') throw new Failure(EXIT.interrupted, '')
}

async function startDetached(options: SupervisorOptions, report: StartReport): Promise<void> {
  createDataDirectory(options.dataDir)
  const logFile = join(options.dataDir, 'supervisor.log')
  const log = writing(logFile, () => openSync(logFile, 'a', 0o600))
  const child = spawn(process.execPath, [siblingModule(import.meta, 'supervisor-process')], {
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
    cwd: io().cwd,
    env: { ...io().env, ...PROGRAM_ENV, ...compileCacheEnv() },
  })
  closeSync(log)
  const result = await new Promise<FromSupervisor>((resolve) => {
    const fail = (cause: string): void =>
      resolve({ kind: 'failed', exitCode: 1, reason: `the supervisor ended (${cause}); see ${logFile}` })
    child.once('message', (message: FromSupervisor) => resolve(message))
    child.once('error', (error) => fail(error.message))
    child.once('exit', (code, signal) => fail(signal ?? `exit code ${code}`))
    // A process that could not be started, for example for lack of descriptors, has no channel.
    if (child.connected) child.send(options satisfies ToSupervisor, () => {})
  })
  if (child.connected) child.disconnect()
  child.unref()
  switch (result.kind) {
    case 'held':
      if (await showRunning(result.holder, options, report)) return
      return startDetached(options, report)
    case 'failed':
      throw new Failure(result.exitCode, result.reason)
    case 'formed':
      await report.show(result.status, 'detached', result.console)
      if (result.problems.length > 0) throw new Failure(1, result.problems[0] ?? '', result.problems.slice(1))
  }
}
