// `kv cluster start`: runs a cluster in the foreground until Ctrl-C, or with --detach in a process that stays.

import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { join } from 'node:path'
import { portOf } from '../../local/addresses.ts'
import type { ControlAddress } from '../../local/cluster-file.ts'
import { ask } from '../../local/control-client.ts'
import { knock } from '../../local/door.ts'
import { Failure, writing } from '../../local/failure.ts'
import { makeHome } from '../../local/make-home.ts'
import { checkOpenFiles } from '../../local/open-files.ts'
import { DEFAULT_NODES, otherCount } from '../../local/plan.ts'
import { PROGRAM, PROGRAM_ENV } from '../../local/program-name.ts'
import { siblingModule } from '../../local/sibling-module.ts'
import { MOVED_END_LIMIT_MS, processEnded, stopSupervisor } from '../../local/stop.ts'
import { Supervisor, type SupervisorOptions } from '../../local/supervisor.ts'
import { findSupervisor } from '../../local/supervisor-lock.ts'
import { EXIT } from '../exit-codes.ts'
import { onStopSignals, type StopSignal } from '../stop-signals.ts'
import { eventLine, LOST, type StartReport } from './report.ts'
import type { FromSupervisor, ToSupervisor } from './start-messages.ts'

export async function startCluster(
  options: SupervisorOptions,
  detach: boolean,
  report: StartReport,
): Promise<void> {
  const running = await findSupervisor(options.dataDir)
  if (running && (await showRunning(running, options, report))) return
  // A cluster whose directory was just moved, emptied or replaced may still have the ports.
  await knock(options.dataDir, MOVED_END_LIMIT_MS)
  checkOpenFiles(options.nodes ?? DEFAULT_NODES)
  if (process.stderr.isTTY) report.say('Starting the nodes …')
  return detach ? startDetached(options, report) : startHere(options, report)
}

/** Shows the running cluster as soon as it is formed. Returns false if it was ending, and has ended now. */
async function showRunning(
  running: ControlAddress,
  { dataDir, nodes, port }: SupervisorOptions,
  { show }: StartReport,
): Promise<boolean> {
  const reply = await ask(running, { command: 'formed' })
  if (!reply.ok && reply.stopping === true) {
    await stopSupervisor(running)
    return false
  }
  if (!reply.ok && reply.ended === true) {
    await processEnded(running)
    return false
  }
  if (!reply.ok || !reply.status) throw new Failure(1, reply.said)
  const there = reply.status.nodes.length
  if (nodes !== undefined && nodes !== there) throw new Failure(2, otherCount(dataDir, there, nodes))
  const [first] = reply.status.nodes
  const at = first && portOf(first.url)
  if (port !== undefined && port !== at) {
    throw new Failure(
      2,
      `The cluster in ${dataDir} runs, and n1 is at port ${at}. To move it to other ports: ${PROGRAM} cluster stop, then start it with --port ${port}.`,
    )
  }
  await show(reply.status, 'already')
  return true
}

async function startHere(options: SupervisorOptions, report: StartReport): Promise<void> {
  const supervisor = await Supervisor.start(options)
  if (!(supervisor instanceof Supervisor)) {
    if (await showRunning(supervisor.running, options, report)) return
    return startHere(options, report)
  }
  let asked: StopSignal | undefined
  onStopSignals(
    (signal) => {
      asked = signal
      report.say('Stopping …')
      void supervisor.stop()
    },
    () => void supervisor.killAll(),
  )
  try {
    const { status, problems } = await supervisor.formed()
    await report.show(status, 'foreground')
    for (const problem of problems) report.say(problem)
    supervisor.watch((event) => {
      const line = asked === undefined && event.kind !== 'lost' ? eventLine(event) : undefined
      if (line !== undefined) report.say(line)
    })
  } catch (error) {
    if (asked === undefined && !supervisor.isLost) throw error
  }
  await supervisor.stopped
  if (supervisor.isLost) throw new Failure(1, LOST)
  if (asked === 'SIGINT') throw new Failure(EXIT.interrupted, '')
}

async function startDetached(options: SupervisorOptions, report: StartReport): Promise<void> {
  makeHome(options.dataDir)
  const logFile = join(options.dataDir, 'supervisor.log')
  const log = writing(logFile, () => openSync(logFile, 'a', 0o600))
  const child = spawn(process.execPath, [siblingModule(import.meta, 'supervisor-process')], {
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
    env: { ...process.env, ...PROGRAM_ENV, NODE_COMPILE_CACHE: getCompileCacheDir() },
  })
  closeSync(log)
  const answer = await new Promise<FromSupervisor>((resolve) => {
    const lost = (why: string): void =>
      resolve({
        kind: 'failed',
        exitCode: 1,
        reason: `The supervisor ended (${why}); see ${logFile}`,
      })
    child.once('message', (message: FromSupervisor) => resolve(message))
    child.once('error', (error) => lost(error.message))
    child.once('exit', (code, signal) => lost(signal ?? `exit code ${code}`))
    // A process that could not be started, for example for lack of descriptors, has no channel.
    if (child.connected) child.send(options satisfies ToSupervisor, () => {})
  })
  if (child.connected) child.disconnect()
  child.unref()
  if (answer.kind === 'running') {
    if (await showRunning(answer.running, options, report)) return
    return startDetached(options, report)
  }
  if (answer.kind === 'failed') throw new Failure(answer.exitCode, answer.reason)
  await report.show(answer.status, 'detached')
  if (answer.problems.length > 0) throw new Failure(1, answer.problems.join('\n'))
}
