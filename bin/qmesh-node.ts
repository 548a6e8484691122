#!/usr/bin/env node
import { main } from './main.ts'

process.exitCode = await main(process.argv.slice(2))
// Everything is closed by now. Should a handle of a native library still be open, it must not keep a finished command.
setTimeout(() => process.exit(), 2_000).unref()
