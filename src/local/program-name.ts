// The name by which the user called the program: `quorate`, or `kv` for short. Messages name commands with it.

import { basename } from 'node:path'

/** Set for a process that a command starts: the user has not called that process by any name. */
const VARIABLE = 'QUORATE_CALLED_AS'

const called = process.env[VARIABLE] ?? basename(process.argv[1] ?? '')
export const PROGRAM = called === 'kv' ? 'kv' : 'quorate'

/** Environment of such a process. */
export const PROGRAM_ENV = { [VARIABLE]: PROGRAM }
