// Names of a simulated process and of its machine, which loggers print. They are the same on every machine.

import { currentProcess, type ProcessGlobals } from './process-globals.ts'
import { type AnyFunction, call, disguise, type Replacements } from './replacements.ts'

const os = process.getBuiltinModule('node:os')

const FIRST_PID = 1000
const HOSTNAME = 'simulation'

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
  disguise(() => (currentProcess() === undefined ? call(real, os, []) : HOSTNAME), real)

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
