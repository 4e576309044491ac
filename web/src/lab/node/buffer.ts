// The global `Buffer` of Node, which the shipped code below the lab uses. The entry of the worker imports it first.

import { Buffer } from 'buffer/'

Object.assign(globalThis, { Buffer })
