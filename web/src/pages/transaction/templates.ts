// Transactions to begin with. Names, values and revisions in them are to be replaced.

import type { TxnFields } from '../../../../src/operations/forms/txn-fields.ts'

export interface Template {
  readonly name: string
  readonly about: string
  readonly text: string
}

const template = (name: string, about: string, fields: TxnFields<string>): Template => ({
  name,
  about,
  text: JSON.stringify(fields, null, 2),
})

export const TEMPLATES: readonly Template[] = [
  template('Put if unchanged', 'Writes a key only if nobody has written it since you read it.', {
    compare: [{ key: 'config/limits', target: 'mod_revision', op: '=', to: 12 }],
    success: [{ put: { key: 'config/limits', value: 'new' } }],
    failure: [{ get: { key: 'config/limits' } }],
  }),
  template('Swap two values', 'Writes both keys or none, if both have the values that you expect.', {
    compare: [
      { key: 'a', target: 'value', op: '=', to: 'value of a' },
      { key: 'b', target: 'value', op: '=', to: 'value of b' },
    ],
    success: [{ put: { key: 'a', value: 'value of b' } }, { put: { key: 'b', value: 'value of a' } }],
    failure: [{ get: { key: 'a' } }, { get: { key: 'b' } }],
  }),
  template('Read at one revision', 'Reads several keys as they were at the same time.', {
    success: [{ get: { key: 'config/limits' } }, { get: { prefix: 'config/app/', limit: 100 } }],
  }),
  template('Delete a folder', 'Deletes all keys that begin with a text, in one step.', {
    success: [{ delete: { prefix: 'folder/' } }],
  }),
]
