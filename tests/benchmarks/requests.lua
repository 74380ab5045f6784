-- Sends the requests of a file, which stand there as bytes on the wire with NUL between them, one after another;
-- tells the result as one line of JSON. Used by generator.py.

local requests, at = {}, 0

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   local all = file:read("*a")
   file:close()
   local from = 1
   while true do
      local stop = all:find("\0", from, true)
      requests[#requests + 1] = all:sub(from, (stop or #all + 1) - 1)
      if not stop then break end
      from = stop + 1
   end
   -- Another place to begin in each run, so that runs do not repeat one another's first requests.
   at = tonumber(arguments[2]) % #requests
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   local line = '{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "failed": %d}\n'
   io.write(string.format(line, summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3, failed))
end
