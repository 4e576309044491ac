import { byRevision } from './by-revision.ts'
import { byValue } from './by-value.ts'
import type { KeyModel } from './model.ts'

const REGISTER = ['get', 'put', 'del', 'cas', 'range'] as const

/** The models by the names that `--model` accepts. */
export const MODELS: ReadonlyMap<string, KeyModel<unknown>> = new Map(
  [
    byValue('register', REGISTER),
    byValue('cas', REGISTER),
    byValue('kv', [...REGISTER, 'append', 'acquire', 'release']),
    byRevision('versioned-register', [...REGISTER, 'append', 'acquire', 'release']),
    byRevision('lock', ['get', 'range', 'acquire', 'release']),
  ].map((model) => [model.name, model]),
)
