-- Notes invalidated tags in the table of the whole fleet and tells every node. Without tags it only sees to the table.
-- KEYS: the table. ARGV: the channel, the node that calls, the least generation, the tags (8 bytes each), the most tags.
-- Returns the generation, the last one before it, the floor, and whether the table had to be begun anew.
local table_key, channel, node = KEYS[1], ARGV[1], ARGV[2]
local least, tags, most = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local EVERYTHING = string.rep('\0', 8)

local function text(number)
  return string.format('%.0f', number)
end

local known = redis.call('HMGET', table_key, 'run', 'last', 'floor')
local before, floor = tonumber(known[2] or 0), tonumber(known[3] or 0)

-- A server that was started anew may have forgotten what was invalidated last, and so has one without a table.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or 'unknown'
local is_new = known[1] ~= run
if is_new then
  tags = EVERYTHING
end

-- Far above what any node has counted up to on its own since it last heard of a generation.
local generation = math.max(before, least)
if tags ~= '' then
  local now = redis.call('TIME')
  generation = math.max(before + 1, least, now[1] * 1000000 + now[2])
end

local fields = {}
local is_full = redis.call('HLEN', table_key) + #tags / 8 > most
for i = 1, #tags, 8 do
  local tag = string.sub(tags, i, i + 7)
  if tag == EVERYTHING or is_full then
    redis.call('UNLINK', table_key)
    floor = generation
    fields = {}
    break
  end
  table.insert(fields, tag)
  table.insert(fields, text(generation))
end
redis.call('HSET', table_key, 'run', run, 'last', text(generation), 'floor', text(floor), unpack(fields))

if tags ~= '' then
  redis.call('PUBLISH', channel, node .. struct.pack('>I8', generation) .. tags)
end
return { generation, before, floor, is_new and 1 or 0 }
