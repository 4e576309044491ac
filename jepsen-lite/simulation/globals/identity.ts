// Names of a simulated process and of its machine, which loggers print, and with which services tell their instances
// apart. Each process is on a machine of its own, which has the name of the process.

import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { type AnyFunction, call, disguise, type Replacements } from './replacements.ts'

const os = process.getBuiltinModule('node:os')

const FIRST_PID = 1000

let pids = new WeakMap<ProcessGlobals, number>()
let nextPid = FIRST_PID

function pidOf(host: ProcessGlobals): number {
  const known = pids.get(host)
  if (known !== undefined) return known
  const pid = nextPid++
  pids.set(host, pid)
  return pid
}

const hostname = (real: AnyFunction): object =>
  disguise(() => currentProcess()?.name ?? call(real, os, []), real)

export function replaceIdentity(replacements: Replacements): void {
  pids = new WeakMap()
  nextPid = FIRST_PID
  replacements.value(process, 'pid', (real) => (self) => {
    const host = currentProcess()
    return host === undefined ? real(self) : pidOf(host)
  })
  replacements.value(process, 'ppid', (real) => (self) => (currentProcess() === undefined ? real(self) : 1))
  replacements.method(os, 'hostname', hostname)
}
