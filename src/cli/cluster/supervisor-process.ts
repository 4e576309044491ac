// The process that `kv cluster start --detach` starts: a supervisor without a terminal. It sends one message over IPC,
// when the cluster is formed or has failed. If the starting command ends before that, the cluster ends too.

import { asFailure } from '../../local/failure.ts'
import { Supervisor } from '../../local/supervisor/supervisor.ts'
import { onStopSignals } from '../terminal/stop-signals.ts'
import { printEvent } from './report.ts'
import type { FromSupervisor, ToSupervisor } from './start.ts'

// The disk of its log may be full.
process.stderr.on('error', () => {})
process.once('message', (options: ToSupervisor) => void supervise(options))

async function supervise(options: ToSupervisor): Promise<void> {
  process.title = 'quorate cluster'
  try {
    const supervisor = await Supervisor.start(options)
    if ('holder' in supervisor) {
      report({ kind: 'held', holder: supervisor.holder })
      return
    }
    supervisor.watch(printEvent)
    onStopSignals(
      () => void supervisor.stop(),
      () => void supervisor.killAll(),
    )
    const abandon = (): void => void supervisor.stop()
    process.once('disconnect', abandon)
    // The starting command may have ended already.
    if (!process.connected) abandon()
    const formed = await supervisor.formed()
    process.off('disconnect', abandon)
    report({ kind: 'formed', ...formed })
  } catch (error) {
    const { exitCode, message } = asFailure(error)
    report({ kind: 'failed', exitCode, reason: message })
  }
}

function report(message: FromSupervisor): void {
  if (!process.connected) return
  process.send?.(message, () => {
    if (process.connected) process.disconnect()
  })
}
