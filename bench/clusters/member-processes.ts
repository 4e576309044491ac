// Processes of another system: one for each member, with its output in a file.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { atTheEnd } from '../undo.ts'
import type { ClusterNode } from './cluster.ts'

const SHOWN_CHARACTERS = 2000

export interface Member {
  readonly name: string
  /** For clients. */
  readonly url: string
  readonly args: readonly string[]
}

export class MemberProcesses {
  readonly #command: string
  readonly #directory: string
  readonly #members: readonly Member[]
  readonly #processes = new Map<string, ChildProcess>()

  /** Starts all members. Their output goes to `directory`. */
  constructor(command: string, directory: string, members: readonly Member[]) {
    this.#command = command
    this.#directory = directory
    this.#members = members
    atTheEnd(() => this.stop())
    for (const member of members) this.#start(member)
  }

  /** Throws the end of a member's output if it has ended by itself. */
  nodes(): ClusterNode[] {
    return this.#members.map(({ name, url }) => {
      const child = this.#processes.get(name)
      if (typeof child?.exitCode === 'number')
        throw new Error(
          `${name} ended:\n${readFileSync(this.#outputOf(name), 'utf8').slice(-SHOWN_CHARACTERS)}`,
        )
      return { name, url, pid: child !== undefined && isRunning(child) ? child.pid : undefined }
    })
  }

  /** Starts a member that was killed. */
  async restart(name: string): Promise<void> {
    const member = this.#members.find((each) => each.name === name)
    if (member === undefined) throw new Error(`there is no member ${name}`)
    await this.#ended(name)
    this.#start(member)
  }

  async stop(): Promise<void> {
    for (const child of this.#processes.values()) child.kill('SIGKILL')
    await Promise.all(this.#members.map(({ name }) => this.#ended(name)))
  }

  #start({ name, args }: Member): void {
    const output = openSync(this.#outputOf(name), 'a')
    this.#processes.set(name, spawn(this.#command, args, { stdio: ['ignore', output, output] }))
    closeSync(output)
  }

  async #ended(name: string): Promise<void> {
    const child = this.#processes.get(name)
    if (child !== undefined && isRunning(child)) await once(child, 'exit')
  }

  #outputOf(name: string): string {
    return join(this.#directory, `${name}.log`)
  }
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null
