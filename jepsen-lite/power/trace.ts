// The events of one directory and the marks, in one order, from the output of strace.
//
// strace stops a thread at the beginning and at the end of a system call, and prints in that order. So what one thread
// has learnt from another comes after it here too, and a sync covers exactly the calls that had ended before it began.
// Anything that this reader does not understand ends the recording: if an event were overlooked, the check would accept
// impossible states, or miss possible ones.

import { join } from 'node:path'
import type { DiskEvent, FileId } from './disk.ts'

/** System calls that can change a file or a directory, or return a file descriptor. */
export const TRACED_CALLS = [
  ...['open', 'openat', 'openat2', 'creat', 'close', 'dup', 'dup2', 'dup3', 'lseek'],
  ...['write', 'pwrite64', 'writev', 'pwritev', 'pwritev2', 'sendfile', 'splice', 'copy_file_range'],
  ...['fsync', 'fdatasync', 'sync_file_range', 'sync', 'syncfs', 'msync', 'mmap'],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'link', 'linkat', 'symlink', 'symlinkat'],
  ...['truncate', 'ftruncate', 'fallocate', 'mkdir', 'mkdirat', 'rmdir'],
]

export type TraceEvent<Mark> =
  | { readonly kind: 'disk'; readonly event: DiskEvent }
  | { readonly kind: 'mark'; readonly mark: Mark }

/** The recording failed, so it says nothing about the disk. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError'
}

interface Call {
  readonly name: string
  readonly args: string
  readonly begun: number
}

type OpenFile =
  | { readonly kind: 'file'; readonly file: FileId; readonly append: boolean; at: number }
  | { readonly kind: 'directory' | 'parent' | 'marks' }

/**
 * Reads the output of `strace -f -xx`. `start`: names in `dir` when the process began; undefined when it did not exist.
 */
export class TraceReader<Mark> {
  readonly #dir: string
  readonly #parent: string
  readonly #marks: string
  readonly #decode: (text: string) => Mark
  readonly #events: TraceEvent<Mark>[] = []
  readonly #begun = new Map<string, Call>()
  readonly #open = new Map<number, OpenFile>()
  readonly #names: Map<string, FileId>
  readonly #sizes = new Map<FileId, number>()
  #nextFile: FileId = 1

  constructor(
    paths: { dir: string; marks: string },
    start: ReadonlyMap<string, number>,
    decode: (text: string) => Mark,
  ) {
    this.#dir = paths.dir
    this.#parent = join(paths.dir, '..')
    this.#marks = paths.marks
    this.#decode = decode
    // Disk numbers the initial files in the same way.
    this.#names = new Map([...start.keys()].map((name, at) => [name, -1 - at]))
    for (const [name, bytes] of start) this.#sizes.set(this.#names.get(name) ?? 0, bytes)
  }

  read(text: string): readonly TraceEvent<Mark>[] {
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf('\n', at)
      this.#parseLine(text.slice(at, end < 0 ? text.length : end))
      at = end < 0 ? text.length : end + 1
    }
    return this.#events
  }

  #parseLine(line: string): void {
    if (line === '') return
    const [, pid, rest] = /^([0-9]+) +(.*)$/s.exec(line) ?? []
    if (pid === undefined || rest === undefined) throw new RecordingError(`not understood: ${excerpt(line)}`)
    // Signals and ends of threads.
    if (rest.startsWith('---') || rest.startsWith('+++')) return
    const resumed = /^<\.\.\. ([a-z0-9_]+) resumed>(.*)$/s.exec(rest)
    if (resumed !== null) {
      const call = this.#begun.get(pid)
      this.#begun.delete(pid)
      if (call === undefined || call.name !== resumed[1])
        throw new RecordingError(`a system call resumes that never began: ${excerpt(line)}`)
      this.#endCall({ ...call, args: call.args + (resumed[2] ?? '') })
      return
    }
    const [, name, args] = /^([a-z0-9_]+)\((.*)$/s.exec(rest) ?? []
    if (name === undefined || args === undefined) throw new RecordingError(`not understood: ${excerpt(line)}`)
    const begun = this.#events.length
    // When the end of `close` is seen, another thread may have got the same number.
    if (name === 'close') this.#open.delete(firstNumber(args))
    const cut = / ?<unfinished \.\.\.>$/.exec(args)
    if (cut === null) this.#endCall({ name, args, begun })
    else this.#begun.set(pid, { name, args: args.slice(0, cut.index), begun })
  }

  /** `args` still end with the returned value. */
  #endCall(call: Call): void {
    const [, result] = /\) += (-?[0-9]+|0x[0-9a-f]+)[^=]*$/.exec(call.args.slice(-200)) ?? []
    if (result === undefined) throw new RecordingError(`no result: ${call.name} ${excerpt(call.args)}`)
    const args = call.args.slice(0, call.args.lastIndexOf(')'))
    const value = Number(result)
    if (value >= 0) this.#applyCall({ ...call, args }, value)
  }

  #applyCall({ name, args, begun }: Call, result: number): void {
    switch (name) {
      case 'open':
      case 'openat':
      case 'creat':
        this.#applyOpen(parseStrings(args)[0]?.toString() ?? '', args, result)
        break
      case 'close':
        break
      case 'write':
      case 'pwrite64':
      case 'writev':
      case 'pwritev':
        this.#applyWrite(name, args, result)
        break
      case 'fsync':
      case 'fdatasync':
        this.#applySync(firstNumber(args), begun)
        break
      case 'rename':
      case 'renameat':
      case 'renameat2':
        this.#applyRename(parseStrings(args))
        break
      case 'unlink':
      case 'unlinkat':
        this.#applyUnlink(parseStrings(args)[0]?.toString() ?? '')
        break
      case 'mkdir':
      case 'mkdirat':
        if (parseStrings(args)[0]?.toString() === this.#dir) this.#emit({ kind: 'mkdir' })
        break
      case 'ftruncate': {
        const file = this.#open.get(firstNumber(args))
        if (file?.kind === 'file') this.#applyTruncate(file.file, parseNumbers(args)[1] ?? 0)
        break
      }
      case 'lseek': {
        const file = this.#open.get(firstNumber(args))
        if (file?.kind === 'file') file.at = result
        break
      }
      case 'mmap':
        if (/PROT_WRITE/.test(args) && /MAP_SHARED/.test(args)) this.#refuseIfOurs(name, args, 4)
        break
      default:
        this.#refuseIfOurs(name, args, 0)
    }
  }

  #applyOpen(path: string, args: string, result: number): void {
    if (path === this.#marks) this.#open.set(result, { kind: 'marks' })
    else if (path === this.#dir) this.#open.set(result, { kind: 'directory' })
    else if (path === this.#parent) this.#open.set(result, { kind: 'parent' })
    else this.#open.delete(result)
    const name = this.#nameInDirectory(path)
    if (name === undefined || !/O_WRONLY|O_RDWR|O_CREAT/.test(args)) return
    let file = this.#names.get(name)
    if (file === undefined) {
      file = this.#nextFile++
      this.#names.set(name, file)
      this.#sizes.set(file, 0)
      this.#emit({ kind: 'create', name, file })
    } else if (args.includes('O_TRUNC')) this.#applyTruncate(file, 0)
    this.#open.set(result, { kind: 'file', file, append: args.includes('O_APPEND'), at: 0 })
  }

  #applyWrite(name: string, args: string, result: number): void {
    const target = this.#open.get(firstNumber(args))
    if (target === undefined) return
    const data = Buffer.concat(parseStrings(args)).subarray(0, result)
    if (target.kind === 'marks') {
      for (const line of data.toString().split('\n'))
        if (line !== '') this.#events.push({ kind: 'mark', mark: this.#decode(line) })
      return
    }
    if (target.kind !== 'file') throw new RecordingError(`${name} to a directory`)
    const size = this.#sizes.get(target.file) ?? 0
    const positioned = name.startsWith('p')
    const at = target.append ? size : positioned ? parsePosition(args) : target.at
    if (!positioned) target.at = at + data.length
    this.#sizes.set(target.file, Math.max(size, at + data.length))
    if (at > size) throw new RecordingError(`a write at ${at} leaves a hole behind ${size}`)
    this.#emit({ kind: 'write', file: target.file, at, data })
  }

  #applyTruncate(file: FileId, length: number): void {
    if ((this.#sizes.get(file) ?? 0) === length) return
    this.#sizes.set(file, length)
    this.#emit({ kind: 'truncate', file, length })
  }

  #applySync(fd: number, begun: number): void {
    const target = this.#open.get(fd)
    if (target?.kind === 'file') this.#emit({ kind: 'sync', file: target.file, begun })
    else if (target?.kind === 'directory') this.#emit({ kind: 'sync-directory', begun })
    else if (target?.kind === 'parent') this.#emit({ kind: 'sync-parent' })
  }

  #applyRename([source, target]: readonly Buffer[]): void {
    const from = this.#nameInDirectory(source?.toString() ?? '')
    const to = this.#nameInDirectory(target?.toString() ?? '')
    if (from === undefined && to === undefined) return
    const file = from === undefined ? undefined : this.#names.get(from)
    if (from === undefined || to === undefined || file === undefined)
      throw new RecordingError(`a rename into or out of the directory: ${source} to ${target}`)
    this.#names.delete(from)
    this.#names.set(to, file)
    this.#emit({ kind: 'rename', from, to })
  }

  #applyUnlink(path: string): void {
    const name = this.#nameInDirectory(path)
    if (name === undefined || !this.#names.delete(name)) return
    this.#emit({ kind: 'unlink', name })
  }

  #emit(event: DiskEvent): void {
    this.#events.push({ kind: 'disk', event })
  }

  /** The name of a file directly in the directory; undefined for any other path. */
  #nameInDirectory(path: string): string | undefined {
    if (!path.startsWith(`${this.#dir}/`)) return undefined
    const name = path.slice(this.#dir.length + 1)
    if (name === '' || name.includes('/'))
      throw new RecordingError(`the directory has one of its own: ${path}`)
    return name
  }

  #refuseIfOurs(name: string, args: string, fdAt: number): void {
    const paths = parseStrings(args).map((path) => path.toString())
    const fd = args.split(', ')[fdAt]
    const isOurs =
      paths.some((path) => path.startsWith(`${this.#dir}/`)) ||
      (fd !== undefined && /^[0-9]+$/.test(fd) && this.#open.get(Number(fd))?.kind === 'file')
    if (isOurs) throw new RecordingError(`${name} on the directory, which this model does not have`)
  }
}

const excerpt = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text)

/** Every string among the arguments; strace -xx writes each byte as \xNN. */
function parseStrings(args: string): Buffer[] {
  const strings: Buffer[] = []
  for (const [, hex = '', cut] of args.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)) {
    if (cut !== undefined) throw new RecordingError('strace has shortened a string')
    strings.push(Buffer.from(hex.replaceAll('\\x', ''), 'hex'))
  }
  return strings
}

const parseNumbers = (args: string): number[] =>
  [...args.matchAll(/(?:^|, )(-?[0-9]+)(?=,|$)/g)].map(([, number]) => Number(number))
const firstNumber = (args: string): number => Number.parseInt(args, 10)

/** The offset of a positioned write: its last argument. */
function parsePosition(args: string): number {
  const last = parseNumbers(args.slice(args.lastIndexOf(']') + 1).slice(-60)).at(-1)
  if (last === undefined) throw new RecordingError(`no position: ${args.slice(-60)}`)
  return last
}
