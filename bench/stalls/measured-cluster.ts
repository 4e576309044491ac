// Three nodes, each a process that measures its longest turn of the event loop.

import { type ChildProcess, fork } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { consecutivePorts } from '../clusters/ports.ts'

/** The longest turn of the event loop of one node. */
export interface Turn {
  readonly ms: number
  /** CPU time of the thread in that turn. */
  readonly cpuMs: number
}

export interface MeasuredNode {
  readonly name: string
  readonly url: string
  /** The longest turn since the last call. */
  longest(): Promise<Turn>
}

export interface MeasuredCluster {
  readonly nodes: readonly MeasuredNode[]
  stop(): void
}

const PROGRAM = join(import.meta.dirname, 'measured-node.ts')

export async function startMeasured(directory: string, count = 3): Promise<MeasuredCluster> {
  const first = await consecutivePorts(2 * count)
  const children: ChildProcess[] = []
  const nodes: MeasuredNode[] = []
  for (let at = 0; at < count; at++) {
    const name = `n${at + 1}`
    const dataDir = join(directory, name)
    await mkdir(dataDir, { recursive: true })
    const [port, peerPort] = [first + at, first + count + at]
    const join1 = nodes[0] === undefined ? [] : [nodes[0].url]
    const child = fork(PROGRAM, [dataDir, name, `${port}`, `${peerPort}`, ...join1])
    children.push(child)
    await answer(child)
    nodes.push({
      name,
      url: `http://127.0.0.1:${port}`,
      async longest() {
        child.send('longest')
        const { longest } = await answer<{ readonly longest: Turn }>(child)
        return longest
      },
    })
  }
  return {
    nodes,
    stop() {
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

const answer = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('a node has ended'))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message as T)
    })
  })
