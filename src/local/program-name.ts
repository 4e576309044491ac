// The name by which the user called the program: `quorate`, or `kv` for short. Each message that names a command is
// written with it.

import { basename } from 'node:path'

/** Set for a process that a command starts, because the user has not called that process by any name. */
const VARIABLE = 'QUORATE_CALLED_AS'

const called = process.env[VARIABLE] ?? basename(process.argv[1] ?? '')
export const PROGRAM = called === 'kv' ? 'kv' : 'quorate'

/** For the environment of such a process. */
export const PROGRAM_ENV = { [VARIABLE]: PROGRAM }
