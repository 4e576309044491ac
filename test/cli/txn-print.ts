// Prints the answer to a transaction, as `kv txn` will: its arguments are the format, the transaction and the answer.

import { FORMATS } from '../../src/cli/global-flags.ts'
import { parseTxn } from '../../src/cli/txn-language.ts'
import { printTxn } from '../../src/cli/txn-output.ts'

const [wanted, text = '', answer = ''] = process.argv.slice(2)
await printTxn(FORMATS.find((format) => format === wanted) ?? 'plain', parseTxn(text), JSON.parse(answer))
