import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface LlamaServerOptions {
  readonly binary: string
  readonly modelPath: string
  readonly threads: number
  /** Tokens of one slot. */
  readonly contextTokens: number
  readonly slots: number
}

/** llama.cpp's own server with the same model, threads and slots; it speaks OpenAI's API, too. */
export async function startLlamaServer({
  binary,
  modelPath,
  threads,
  contextTokens,
  slots,
}: LlamaServerOptions) {
  const port = await freeTcpPort()
  const flags = {
    '--model': modelPath,
    '--host': '127.0.0.1',
    '--port': port,
    '--threads': threads,
    '--threads-batch': threads,
    '--ctx-size': contextTokens * slots,
    '--parallel': slots,
    '--n-gpu-layers': 0,
  }
  const child = spawn(binary, Object.entries(flags).flat().map(String), { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  const isUp = async (): Promise<boolean> => {
    const reply = await fetch(`${url}/health`).catch(() => undefined)
    return reply?.ok === true
  }
  for (const deadline = performance.now() + 60_000; !(await isUp()); await sleep(100)) {
    if (child.exitCode === null && performance.now() < deadline) continue
    child.kill('SIGKILL')
    throw new Error(`${binary} does not serve ${modelPath}`)
  }
  return {
    url,
    stop: async (): Promise<void> => {
      child.kill('SIGTERM')
      await exited
    },
  }
}

async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
