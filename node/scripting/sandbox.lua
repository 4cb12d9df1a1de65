-- What a script sees, and what counts its steps. Called once with what Python hands in; gives a
-- table of functions for `runtime.py`. Everything a script can reach of it is made to be reached:
-- tables are shown through proxies that cannot be written to.
local host, patterns, load_library = ...

local raw_assert, raw_error, raw_pcall, raw_xpcall = assert, error, pcall, xpcall
local raw_next, raw_pairs, raw_ipairs, raw_select, raw_type = next, pairs, ipairs, select, type
local raw_getmetatable, raw_setmetatable = getmetatable, setmetatable
local raw_rawget, raw_rawset, raw_rawequal = rawget, rawset, rawequal
local raw_tostring, raw_tonumber, raw_unpack = tostring, tonumber, unpack
local raw_loadstring, raw_setfenv = loadstring, setfenv
local raw_sethook, raw_getinfo = debug.sethook, debug.getinfo
local raw_co = { create = coroutine.create, resume = coroutine.resume, yield = coroutine.yield,
                 status = coroutine.status, running = coroutine.running }
local raw_s = {}
for name, value in pairs(string) do
  raw_s[name] = value
end
local raw_t = {}
for name, value in pairs(table) do
  raw_t[name] = value
end
local floor = math.floor

local TICK = 1000 -- Instructions between two looks at the budget.
local COROUTINES_MAX = 8 -- The stack of one may take some 80 MB.
local STACK_MAX = 7900 -- Values on the stack of a C function.
local MAIN_NAMES = "^user_%a+:%d+: "
local READONLY = "Attempt to modify a readonly table"

-- Of the running script.
local spent, limit, weight = 0, 0, 1
local executed = 0 -- Instructions, and what commands cost: no table has more places than that.
local dead -- Why it is over: nothing of it runs on, whatever it catches.
local threads = {} -- Its coroutines.
local undoing = {} -- What is to be done when it is over, for what it has changed;
local is_clean = true -- there is none of it, nor any coroutine.
local counted -- The function that it runs in; below.
local scans -- Of each table: how often it was walked, and what was given last.
local pattern_costs
local environment = {} -- Through this, to which it cannot write, a script sees all that it sees.

local WEAK = { __mode = "k" }

-- --- Garbage. When it is collected depends on what ran before, so no script may see it: where a
-- table might be weak, none is while it is collected, which then happens between two instructions.

local raw_collect = collectgarbage
local COLLECT_KIB = 65536 -- Of garbage, after which a collection follows.
local metatables = raw_setmetatable({}, WEAK) -- That scripts have given to tables.
local held -- How many KiB there may be before a collection, while there is none by itself.

local function release()
  held = nil
  raw_collect("restart")
end

local function hold()
  if not held then
    raw_collect("stop")
    held = raw_collect("count") + COLLECT_KIB
    undoing[#undoing + 1] = release
    is_clean = false
  end
end

local function collect_held()
  local modes = {}
  for meta in raw_next, metatables do
    modes[meta] = raw_rawget(meta, "__mode")
    raw_rawset(meta, "__mode", nil)
  end
  raw_collect()
  raw_collect("stop")
  for meta, mode in raw_next, modes do
    raw_rawset(meta, "__mode", mode)
  end
  held = 2 * raw_collect("count") + COLLECT_KIB
end

-- --- The budget.

local function tick()
  if held and raw_collect("count") > held then
    collect_held()
  end
  if not dead then
    executed = executed + TICK
    spent = spent + TICK * weight
    if spent <= limit then
      return
    end
    dead = "budget"
  end
  if raw_getinfo(2, "f").func == counted then -- All of the script is left.
    raw_sethook()
  else
    raw_sethook(tick, "", 1)
    raw_error(dead, 0)
  end
end

local function die(why)
  dead = why
  raw_sethook(tick, "", 1)
  raw_error(dead, 0)
end

local function charge(units)
  spent = spent + units
  if spent > limit then
    die("budget")
  end
end

local function charge_bytes(count)
  charge(count / 16)
end

local function alive(...)
  if dead then
    raw_error(dead, 0)
  end
  return ...
end

-- --- Errors that name the place in the script, as those of C functions do.

local told, told_line -- The last error that is not where its call is, and where.

local function fail(text, line) -- The line if it is not that of the call.
  local level = 2
  while true do
    local info = raw_getinfo(level, "Sl")
    if not info or info.what == "C" then -- Called by no line: by pcall, say.
      raw_error(text, 0)
    elseif info.source ~= "=trimaran" and info.currentline > 0 then
      text = info.short_src .. ":" .. (line or info.currentline) .. ": " .. text
      if line then
        told, told_line = text, line
      end
      raw_error(text, 0)
    end
    level = level + 1
  end
end

-- The name by which the script has called what it is in now, and whether as a method.
local function called()
  local level = 3
  while true do
    local info = raw_getinfo(level, "Sl")
    if not info or info.what == "C" then
      return "?", false
    elseif info.source ~= "=trimaran" and info.currentline > 0 then
      info = raw_getinfo(level - 1, "n")
      return info.name or "?", info.namewhat == "method"
    end
    level = level + 1
  end
end

local function about_argument(number, text)
  local name, is_method = called()
  if is_method then
    number = number - 1
    if number == 0 then
      fail("calling '" .. name .. "' on bad self (" .. text .. ")")
    end
  end
  fail("bad argument #" .. number .. " to '" .. name .. "' (" .. text .. ")")
end

local function finish(ok, ...)
  if ok then
    return ...
  end
  local problem = ...
  if dead then
    raw_error(dead, 0)
  end
  if raw_type(problem) == "string" then
    problem = raw_s.gsub(problem, "^trimaran:%d+: ", "", 1)
    if raw_s.find(problem, MAIN_NAMES) then
      raw_error(problem, 0)
    end
    local number, text = raw_s.match(problem, "^bad argument #(%d+) to '%?' %((.*)%)$")
    if number then
      about_argument(raw_tonumber(number), text)
    elseif problem == READONLY or raw_s.find(problem, "^attempt to ")
      or problem == "invalid key to 'next'" then -- Not of the function, but of Lua itself.
      raw_error(problem, 0)
    end
    fail(problem)
  end
  raw_error(problem, 0)
end

-- What stands around the last call of a function, so that it is no tail call: those leave no trace of
-- how they were called.
local function kept(...)
  return ...
end

-- `f` of C called so that its complaints name the script's line.
local function guarded(f)
  return function(...)
    return kept(finish(raw_pcall(f, ...)))
  end
end

local function charge_number(value)
  if raw_type(value) == "string" and #value > 64 then
    charge(#value / 2)
  end
end

-- The same, of one that reads numbers from texts too.
local function guarded_number(f)
  return function(...)
    for place = 1, raw_select("#", ...) do
      charge_number((raw_select(place, ...)))
    end
    return kept(finish(raw_pcall(f, ...)))
  end
end

local function to_number(value, base)
  charge_number(value)
  return raw_tonumber(value, base)
end

local function bad_argument(number, name, expected, value)
  local got = value == nil and "no value" or raw_type(value)
  about_argument(number, expected .. " expected, got " .. got)
end

local function text_argument(value, number, name)
  local kind = raw_type(value)
  if kind == "string" then
    return value
  elseif kind == "number" then
    return raw_tostring(value)
  end
  bad_argument(number, name, "string", value)
end

local function number_argument(value, number, name, default)
  if value == nil and default then
    return default
  end
  local found = to_number(value)
  if not found then
    bad_argument(number, name, "number", value)
  end
  return found
end

-- As C on x86-64 makes an `int` of it.
local function to_int(value)
  if not (value >= -(2 ^ 63) and value < 2 ^ 63) then
    return 0
  end
  value = (value < 0 and math.ceil(value) or floor(value)) % 2 ^ 32
  return value >= 2 ^ 31 and value - 2 ^ 32 or value
end

-- --- Tables that cannot be written to.

local content = {} -- Of each proxy.

local function readonly()
  fail(READONLY)
end

local function protect(t)
  local proxy = {}
  raw_setmetatable(proxy, { __index = t, __newindex = readonly, __metatable = false })
  content[proxy] = t
  return proxy
end

local function writable(t, name)
  if raw_type(t) ~= "table" then
    bad_argument(1, name, "table", t)
  elseif content[t] then
    raw_error(READONLY, 0)
  end
end

-- --- What is put into the source of a script; see source.py.

local is_operator = raw_setmetatable({}, WEAK) -- Functions that are no call for the script.
local operators = load_library("operators", {
  charge = charge, fail = fail, is_hidden = is_operator, joined = raw_t.concat,
  compile = function(text)
    return raw_assert(raw_loadstring(text, "=trimaran"))
  end })

local REFERENCES = { table = true, ["function"] = true, thread = true, userdata = true }

local function key(k)
  if REFERENCES[raw_type(k)] then
    fail("a " .. raw_type(k) .. " cannot be the key of a table here: use a string or a number")
  elseif k == "__mode" then
    hold()
  end
  return k
end

local NAN = 0 / 0

local function maybe_key(k)
  if REFERENCES[raw_type(k)] then
    return NAN -- Nothing is there, and nothing can be put there.
  elseif k == "__mode" then
    hold()
  end
  return k
end

local function values(...)
  spent = spent + raw_select("#", ...)
  if spent > limit then
    die("budget")
  end
  return ...
end

-- What a script is once it is rewritten, and the code of it; or nil and what Lua says: it may be
-- nested too deep then, if it is nearly so as it stands.
local function made(text, name)
  local source = host.rewritten(text, false)
  if not source then
    return nil, raw_s.sub(name, 2) .. ": too many operators, there may be " .. host.operators_max
  end
  local chunk, problem = raw_loadstring(source, name)
  if not chunk then
    chunk, problem = raw_loadstring(host.rewritten(text, true), name)
    if not chunk then
      return nil, problem
    end
  end
  local f = chunk(key, operators, maybe_key, values)
  raw_setfenv(f, environment)
  return f, raw_s.dump(chunk)
end

-- --- The base library.

local function compile(text, name)
  charge(#text * 200)
  if raw_s.byte(text, 1) == 27 then
    return nil, "[string \"\"]:1: unexpected symbol near 'char(27)'"
  end
  local ok, problem = raw_loadstring(text, name)
  if not ok then
    return nil, problem
  end
  local f, code = made(text, name)
  if not f then
    return nil, code
  end
  weight = math.max(weight, host.weight(code))
  return f
end

local base = { _VERSION = _VERSION, rawequal = raw_rawequal,
               tonumber = guarded_number(raw_tonumber), type = guarded(raw_type), ipairs = nil }

function base.select(...)
  local place = ...
  if place == "#" or (raw_type(place) == "number" and place >= 1 and place < 2 ^ 31) then
    return raw_select(...)
  end
  charge_number(place)
  return kept(finish(raw_pcall(raw_select, ...)))
end

function base.assert(...)
  local ok, problem = ...
  if ok then
    return ...
  elseif raw_select("#", ...) == 0 then
    about_argument(1, "value expected")
  end
  if problem == nil and raw_select("#", ...) < 2 then
    problem = "assertion failed!"
  end
  if raw_type(problem) == "string" then
    fail(problem)
  end
  raw_error(problem, 0)
end

-- Where the script is, so many calls above the function that asks. What is ours counts as one.
local function place_at(count)
  local level, was_ours = 3, false
  while true do
    local info = raw_getinfo(level, "Slf")
    if not info then
      return ""
    end
    if not is_operator[info.func] then
      local is_ours = info.what == "C" or info.source == "=trimaran"
      if not (is_ours and was_ours) then
        count = count - 1
        if count == 0 then
          return info.currentline > 0 and not is_ours
            and info.short_src .. ":" .. info.currentline .. ": " or ""
        end
      end
      was_ours = is_ours
    end
    level = level + 1
  end
end

function base.error(problem, level)
  level = number_argument(level, 2, "error", 1)
  local kind = raw_type(problem)
  if (kind == "string" or kind == "number") and level >= 1 then
    raw_error(place_at(floor(level)) .. problem, 0)
  end
  raw_error(problem, 0)
end

-- As Redis has it: of the errors that commands raise, the text alone.
local function caught(ok, ...)
  if dead then
    raw_error(dead, 0)
  elseif not ok then
    local problem = ...
    local text = raw_type(problem) == "table" and raw_rawget(problem, "err")
    if raw_type(text) == "string" then
      return false, text
    end
  end
  return ok, ...
end

function base.pcall(...)
  if raw_select("#", ...) == 0 then
    about_argument(1, "value expected")
  end
  return caught(raw_pcall(...))
end

function base.xpcall(f, handler)
  return alive(raw_xpcall(f, function(problem)
    if dead then
      return problem
    end
    return handler(problem)
  end))
end

function base.collectgarbage(option)
  return 0
end

function base.gcinfo()
  return 0
end

function base.load(f, name)
  local parts, size = {}, 0
  while true do
    local part = f()
    if part == nil or part == "" then
      break
    elseif raw_type(part) ~= "string" then
      return nil, "reader function must return a string"
    end
    size = size + 1
    parts[size] = part
    charge_bytes(#part)
  end
  return compile(raw_t.concat(parts), name and text_argument(name, 2, "load") or "=(load)")
end

function base.loadstring(text, name)
  text = text_argument(text, 1, "loadstring")
  return compile(text, name and text_argument(name, 2, "loadstring") or text)
end

-- A table may be nearly empty and yet large. Walking it again and again costs what it may hold.
local FREE_SCANS = 16

local function scan(t)
  if not scans then
    scans = raw_setmetatable({}, WEAK)
  end
  local known = scans[t]
  if not known then
    known = { 0, nil }
    scans[t] = known
  end
  known[1] = known[1] + 1
  if known[1] > FREE_SCANS then
    charge(executed / 64)
  end
  return known
end

function base.next(t, k)
  if raw_type(t) ~= "table" then
    bad_argument(1, "next", "table", t)
  end
  local known = scans and scans[t]
  if k == nil or not known or known[2] ~= k then
    known = scan(t)
  end
  local ok, found, value = raw_pcall(raw_next, content[t] or t, k)
  if not ok then
    finish(false, found)
  end
  known[2] = found
  return found, value
end

function base.pairs(t)
  if raw_type(t) ~= "table" then
    bad_argument(1, "pairs", "table", t)
  end
  return base.next, t, nil
end

local function next_item(t, i)
  i = i + 1
  local v = raw_rawget(t, i)
  if v ~= nil then
    return i, v
  end
end

function base.ipairs(t)
  if raw_type(t) ~= "table" then
    bad_argument(1, "ipairs", "table", t)
  end
  return next_item, t, 0
end

function base.rawget(t, k)
  if raw_type(t) ~= "table" then
    bad_argument(1, "rawget", "table", t)
  end
  return raw_rawget(content[t] or t, k)
end

function base.rawset(t, k, v)
  writable(t, "rawset")
  key(k)
  return kept(finish(raw_pcall(raw_rawset, t, k, v)))
end

local string_meta
local environment_meta = protect({})

function base.getmetatable(value)
  if raw_type(value) == "string" then
    return string_meta
  elseif raw_rawequal(value, environment) then
    return environment_meta
  elseif content[value] then
    return nil
  end
  return raw_getmetatable(value)
end

function base.setmetatable(t, meta)
  writable(t, "setmetatable")
  if meta ~= nil and raw_type(meta) ~= "table" then
    about_argument(2, "nil or table expected")
  end
  if meta ~= nil then
    metatables[meta] = true
    if raw_rawget(meta, "__mode") ~= nil then
      hold()
    end
  end
  return kept(finish(raw_pcall(raw_setmetatable, t, meta)))
end

function base.tostring(...)
  local value = ...
  if raw_select("#", ...) == 0 then
    about_argument(1, "value expected")
  end
  local kind = raw_type(value)
  if REFERENCES[kind] then
    local meta = raw_getmetatable(value)
    local f = raw_type(meta) == "table" and raw_rawget(meta, "__tostring")
    if f then
      return f(value)
    end
    return kind .. (kind == "userdata" and ": (nil)" or ": 0x0") -- Where it lies is another place on every replica.
  end
  return raw_tostring(value)
end

function base.unpack(t, first, last)
  if raw_type(t) ~= "table" then
    bad_argument(1, "unpack", "table", t)
  end
  first = to_int(number_argument(first, 2, "unpack", 1)) -- C would add up what it does not hold.
  last = to_int(number_argument(last, 3, "unpack", #t))
  if last - first >= STACK_MAX then
    fail("too many results to unpack")
  end
  charge(last > first and last - first or 1)
  return raw_unpack(t, first, last)
end

-- --- Strings.

local strings = { len = guarded(raw_s.len), char = guarded_number(raw_s.char) }

function strings.byte(...)
  local _, first, last = ...
  charge_number(first)
  charge_number(last)
  return kept(finish(raw_pcall(raw_s.byte, ...)))
end

for _, name in raw_ipairs({ "sub", "lower", "upper", "reverse" }) do
  local f = raw_s[name]
  strings[name] = function(...)
    local s, first, last = ...
    charge_number(first)
    charge_number(last)
    if raw_type(s) == "string" then
      spent = spent + #s / 8
      if spent > limit then
        die("budget")
      end
    end
    return kept(finish(raw_pcall(f, ...)))
  end
end

function strings.rep(s, count)
  s = text_argument(s, 1, "rep")
  count = number_argument(count, 2, "rep")
  if count > 0 then
    charge(count * (#s + 2) / 8)
  end
  return raw_s.rep(s, count)
end

function strings.format(form, ...)
  local size = #text_argument(form, 1, "format") * 2
  local is_long = raw_s.find(form, "%d%d") -- Wide ones, with many digits, take long.
  for place = 1, raw_select("#", ...) do
    local value = raw_select(place, ...)
    if raw_type(value) == "string" then
      size = size + #value * (raw_s.find(value, "^[%s%d.+-]") and 8 or 2) -- It may be a number.
    else
      size = size + (is_long and 16000 or 400)
    end
  end
  charge_bytes(size)
  return kept(finish(raw_pcall(raw_s.format, form, ...)))
end

function strings.dump()
  fail("unable to dump given function")
end

-- --- Patterns. C runs those whose steps can be bounded beforehand, patterns.lua all others.

local STEPS_MAX = 20000

local function cost_of(p)
  if not pattern_costs then
    pattern_costs = {}
  end
  local known = pattern_costs[p]
  if known then
    return known
  end
  known = { many = 99, optional = 0, is_anchored = false }
  if #p <= 200 then
    local plain, escapes = raw_s.gsub(p, "%%[bf%d]", "*")
    plain = raw_s.gsub(plain, "%%.", "x")
    plain = raw_s.gsub(plain, "%[%^?%]?[^%]]*%]", "x")
    local _, many = raw_s.gsub(plain, "[*+-]", "")
    local _, optional = raw_s.gsub(plain, "%?", "")
    known.many, known.optional = many, optional
    known.is_anchored = raw_s.byte(p, 1) == 94
  end
  pattern_costs[p] = known
  return known
end

-- Whether C may match `p` on `length` bytes; charged if so.
local function is_bounded(p, length, is_anchored)
  local cost = cost_of(p)
  local power = cost.many + ((is_anchored and cost.is_anchored) and 0 or 1)
  if cost.optional > 10 or power > 8 then
    return false
  end
  local steps = #p * (length + 1) ^ power * 2 ^ cost.optional
  if power > 1 and steps > STEPS_MAX then
    return false
  end
  charge(steps / 16)
  return true
end

local function start_of(init, length)
  if init < 0 then
    init = length + init + 1
  end
  return init < 1 and 1 or init
end

local function has_specials(p)
  return raw_s.find(p, "[%^%$%*%+%?%.%(%[%%%-]") ~= nil
end

local function search(name, s, p, init)
  local length = #s
  init = start_of(init, length)
  if init > length + 1 then
    init = length + 1
    if name == "find" or name == "match" then
      -- As Lua 5.1 does: such a start is the end.
    end
  end
  if is_bounded(p, length - init + 1, true) then
    return kept(finish(raw_pcall(raw_s[name], s, p, init)))
  end
  local ok, first, past, ms = raw_pcall(patterns.search, s, p, init, charge)
  if not ok then
    finish(false, first)
  elseif not first then
    return nil
  end
  local done, list, count = raw_pcall(patterns.captures_of, ms, s, first, past, name == "match")
  if not done then
    finish(false, list)
  elseif name == "match" then
    return raw_unpack(list, 1, count)
  end
  return first, past - 1, raw_unpack(list, 1, count)
end

function strings.find(s, p, init, plain)
  s, p = text_argument(s, 1, "find"), text_argument(p, 2, "find")
  init = number_argument(init, 3, "find", 1)
  if plain or not has_specials(p) then
    charge(#s / 16 + #s * #p / 64)
    return raw_s.find(s, p, init, true)
  end
  return search("find", s, p, init)
end

function strings.match(s, p, init)
  s, p = text_argument(s, 1, "match"), text_argument(p, 2, "match")
  return search("match", s, p, number_argument(init, 3, "match", 1))
end

function strings.gmatch(s, p)
  s, p = text_argument(s, 1, "gmatch"), text_argument(p, 2, "gmatch")
  local iterate
  if is_bounded(p, #s, false) then
    iterate = raw_s.gmatch(s, p)
  else
    iterate = patterns.iterate(s, p, charge)
  end
  return function()
    return kept(finish(raw_pcall(iterate)))
  end
end

strings.gfind = strings.gmatch

function strings.gsub(s, p, repl, most)
  s, p = text_argument(s, 1, "gsub"), text_argument(p, 2, "gsub")
  local kind = raw_type(repl)
  if kind == "number" then
    repl, kind = raw_tostring(repl), "string"
  elseif kind ~= "string" and kind ~= "table" and kind ~= "function" then
    about_argument(3, "string/function/table expected")
  end
  most = number_argument(most, 4, "gsub", #s + 1)
  if kind == "string" and is_bounded(p, #s, true) then
    local _, references = raw_s.gsub(repl, "%%", "")
    local size = (#s + 1) * (#repl + references * #s)
    if size < 65536 then
      charge_bytes(size)
      return kept(finish(raw_pcall(raw_s.gsub, s, p, repl, most)))
    end
  end
  return kept(finish(raw_pcall(patterns.gsub, s, p, repl, most, charge)))
end

-- --- Tables.

local tables = {}

function tables.concat(t, separator, first, last)
  if raw_type(t) ~= "table" then
    bad_argument(1, "concat", "table", t)
  end
  separator = separator == nil and "" or text_argument(separator, 2, "concat")
  first = number_argument(first, 3, "concat", 1)
  last = number_argument(last, 4, "concat", #t)
  local size = 0
  for place = first, last do
    local value = raw_rawget(t, place)
    local kind = raw_type(value)
    if kind == "string" then
      size = size + #value
    elseif kind == "number" then
      size = size + 20
    else
      fail("invalid value (" .. kind .. ") at index " .. place .. " in table for 'concat'")
    end
  end
  charge_bytes(size + #separator * (last > first and last - first or 0))
  return raw_t.concat(t, separator, first, last)
end

function tables.insert(t, ...)
  writable(t, "insert")
  local count = raw_select("#", ...)
  if count == 2 then
    local place = to_number((...))
    if place then
      local length = #t
      place = to_int(place)
      charge(place < length and (length - place) / 4 or place - length > 0 and (place - length) / 4 or 0)
    end
  end
  return kept(finish(raw_pcall(raw_t.insert, t, ...)))
end

function tables.remove(t, ...)
  writable(t, "remove")
  local place = to_number((...))
  if place then
    local length = #t
    place = to_int(place)
    charge(place < length and place > 0 and (length - place) / 4 or 0)
  end
  return kept(finish(raw_pcall(raw_t.remove, t, ...)))
end

local SORTED_AS_IT_IS = 64 -- Elements, whatever their order costs.

local function is_less_there(left, right)
  return left < right
end

-- How many bytes there are to compare, more where C begins anew behind each zero; nil if they are not
-- all numbers or all strings.
local function compared_size(t, length)
  local kind, size = raw_type(raw_rawget(t, 1)), 0
  for place = 1, length do
    local value = raw_rawget(t, place)
    if raw_type(value) ~= kind or value ~= value then
      return nil
    elseif kind == "string" then
      size = size + #value
      if #value > 64 and raw_s.find(value, "\0", 1, true) then
        size = size + #value * 64
      end
    end
  end
  return (kind == "string" or kind == "number") and size or nil
end

-- Put in an order that nobody foresees: there are orders for which sorting in C takes forever.
local function shuffle(t, length)
  local seed = floor(host.chance() * 2147483646) + 1
  for place = length, 2, -1 do
    seed = seed * 16807 % 2147483647
    local other = seed % place + 1
    local value = raw_rawget(t, place)
    raw_rawset(t, place, raw_rawget(t, other))
    raw_rawset(t, other, value)
  end
end

function tables.sort(t, is_less)
  writable(t, "sort")
  local length = #t
  if length > 1 then
    charge(length * math.log(length) / 2)
  end
  if is_less == nil and length > 1 then
    local size = compared_size(t, length)
    charge((size or 0) * math.log(length) / 64)
    if not size then
      is_less = length > SORTED_AS_IT_IS and is_less_there or is_less -- Which is counted.
    elseif length > SORTED_AS_IT_IS then
      shuffle(t, length)
    end
  end
  return kept(finish(raw_pcall(raw_t.sort, t, is_less)))
end

function tables.maxn(t)
  local most = 0
  for k in base.pairs(t) do
    if raw_type(k) == "number" and k > most then
      most = k
    end
  end
  return most
end

function tables.getn(t)
  if raw_type(t) ~= "table" then
    bad_argument(1, "getn", "table", t)
  end
  return #t
end

function tables.setn()
  fail("'setn' is obsolete")
end

function tables.foreach(t, f)
  for k, v in base.pairs(t) do
    local found = f(k, v)
    if found ~= nil then
      return found
    end
  end
end

function tables.foreachi(t, f)
  for place = 1, tables.getn(t) do
    local found = f(place, t[place])
    if found ~= nil then
      return found
    end
  end
end

-- --- Mathematics: Lua's own, with the randomness of the entry.

local numbers = {}
for name, value in raw_pairs(math) do
  numbers[name] = raw_type(value) == "function" and guarded_number(value) or value
end

function numbers.random(...)
  local count = raw_select("#", ...)
  local r = host.random()
  if count == 0 then
    return r
  end
  local low, high = ...
  low = number_argument(low, 1, "random")
  if count == 1 then
    low, high = 1, low
  elseif count == 2 then
    high = number_argument(high, 2, "random")
  else
    fail("wrong number of arguments")
  end
  low, high = to_int(low), to_int(high)
  if low > high then
    about_argument(count == 1 and 1 or 2, "interval is empty")
  end
  return floor(r * (high - low + 1)) + low
end

function numbers.randomseed(seed)
  host.randomseed(number_argument(seed, 1, "randomseed"))
end

-- --- Coroutines.

local co = { status = guarded(raw_co.status) }

function co.running()
  return (raw_co.running())
end

function co.yield(...)
  if not raw_co.running() then
    raw_error("attempt to yield across metamethod/C-call boundary", 0)
  end
  return raw_co.yield(...)
end

function co.create(f)
  if raw_type(f) ~= "function" or raw_getinfo(f, "S").what == "C" then
    about_argument(1, "Lua function expected")
  end
  if #threads >= COROUTINES_MAX then
    fail("a script has at most " .. COROUTINES_MAX .. " coroutines")
  end
  charge(TICK)
  local made = raw_co.create(f)
  threads[#threads + 1] = made
  is_clean = false
  raw_sethook(made, tick, "", TICK)
  return made
end

function co.resume(...)
  if raw_type((...)) ~= "thread" then
    about_argument(1, "coroutine expected")
  end
  return alive(raw_co.resume(...))
end

function co.wrap(f)
  local made = co.create(f)
  local function unwrapped(ok, ...)
    if not ok then
      local problem = ...
      if raw_type(problem) == "string" then
        fail(problem)
      end
      raw_error(problem, 0)
    end
    return ...
  end
  return function(...)
    return unwrapped(alive(raw_co.resume(made, ...)))
  end
end

-- --- redis.

local redis = { LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3, REPL_NONE = 0,
                REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_AOF = 1, REPL_ALL = 3,
                REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number }

local NO_STRINGS = "ERR Lua redis lib command arguments must be strings or integers"

-- The kinds in which the host answers.
local NIL, STATUS, ERROR, ABORT, FAILED, UNCLEAR = 1, 2, 3, 4, 6, 7
local host_call = host.call

-- What the host gives back: the cost, then a value as it is, or nothing more for the status OK; of
-- all else the kind too.
local function answered(is_raising, cost, value, kind)
  spent, executed = spent + cost, executed + cost
  if kind == ABORT then
    die(value)
  elseif spent > limit then
    die("budget")
  elseif not kind then
    if value == nil then
      return { ok = "OK" }
    end
    return value
  elseif kind == NIL then
    return false
  elseif kind == STATUS then
    return { ok = value }
  elseif kind == ERROR or kind == FAILED then
    local problem = {}
    problem.err = value
    if kind == FAILED then -- The answer of a command: Redis marks it so.
      problem.ignore_error_stats_update = true
    end
    if is_raising then
      raw_error(problem, 0)
    end
    return problem
  end
  return nil
end

-- A command with words of all kinds: the host knows strings and most numbers.
local function run_command(is_raising, ...)
  local count = raw_select("#", ...)
  if count == 0 then
    return answered(is_raising, 0,
      "ERR Please specify at least one argument for this redis lib call", ERROR)
  end
  local words = { ... }
  for place = 1, count do
    local kind = raw_type(words[place])
    if kind == "number" then
      words[place] = raw_s.format("%.17g", words[place])
    elseif kind ~= "string" then
      return answered(is_raising, 0, NO_STRINGS, ERROR)
    end
  end
  return answered(is_raising, host_call(raw_unpack(words, 1, count)))
end

function redis.call(...)
  local cost, value, kind = host_call(...)
  if not kind then -- As `answered`, but sooner.
    spent, executed = spent + cost, executed + cost
    if spent > limit then
      die("budget")
    elseif value == nil then
      return { ok = "OK" }
    end
    return value
  elseif kind == UNCLEAR then
    return run_command(true, ...)
  end
  return answered(true, cost, value, kind)
end

function redis.pcall(...)
  local cost, value, kind = host_call(...)
  if kind == UNCLEAR then
    return run_command(false, ...)
  end
  return answered(false, cost, value, kind)
end

local function one_string(text, ...)
  if raw_type(text) == "string" and raw_select("#", ...) == 0 then
    return text
  end
  return nil
end

function redis.error_reply(...)
  local text = one_string(...)
  if not text then
    return { err = "ERR wrong number or type of arguments" }
  end
  return { err = host.error_text(text) }
end

function redis.status_reply(...)
  local text = one_string(...)
  if not text then
    return { err = "ERR wrong number or type of arguments" }
  end
  return { ok = text }
end

function redis.sha1hex(...)
  if raw_select("#", ...) ~= 1 then
    return answered(true, 0, "ERR wrong number of arguments", ERROR)
  end
  local text = ...
  text = (raw_type(text) == "string" or raw_type(text) == "number") and raw_tostring(text) or ""
  charge_bytes(#text * 2)
  return host.sha1hex(text)
end

function redis.log(...)
  local level = ...
  if raw_select("#", ...) < 2 then
    return answered(true, 0, "ERR redis.log() requires two arguments or more.", ERROR)
  elseif raw_type(level) ~= "number" then
    return answered(true, 0, "ERR First argument must be a number (log level).", ERROR)
  elseif level < 0 or level > 3 then
    return answered(true, 0, "ERR Invalid debug level.", ERROR)
  end
  local parts = {}
  for place = 2, raw_select("#", ...) do
    local part = raw_select(place, ...)
    if raw_type(part) == "string" or raw_type(part) == "number" then
      parts[#parts + 1] = raw_tostring(part)
    end
  end
  local text = raw_t.concat(parts, " ")
  charge_bytes(#text)
  host.log(level, raw_s.sub(text, 1, 1024))
end

function redis.setresp(...)
  local version = ...
  if raw_select("#", ...) ~= 1 then
    return answered(true, 0, "ERR redis.setresp() requires one argument.", ERROR)
  end
  version = to_number(version)
  if version ~= 2 and version ~= 3 then
    return answered(true, 0, "ERR RESP version must be 2 or 3.", ERROR)
  end
  host.setresp(version)
end

function redis.set_repl(...)
  local flags = ...
  if raw_select("#", ...) ~= 1 then
    return answered(true, 0, "ERR redis.set_repl() requires two arguments.", ERROR)
  end
  flags = to_number(flags) or 0
  if flags < 0 or flags > 3 then
    return answered(true, 0,
      "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.", ERROR)
  end
end

function redis.acl_check_cmd(...)
  if raw_select("#", ...) == 0 then
    return answered(true, 0,
      "ERR Please specify at least one argument for this redis lib call", ERROR)
  end
  local name = ...
  for place = 1, raw_select("#", ...) do
    local kind = raw_type((raw_select(place, ...)))
    if kind ~= "string" and kind ~= "number" then
      return answered(true, 0, NO_STRINGS, ERROR)
    end
  end
  if not host.is_command(raw_tostring(name)) then
    return answered(true, 0, "ERR Invalid command passed to redis.acl_check_cmd()", ERROR)
  end
  return true
end

function redis.replicate_commands()
  return true
end

function redis.breakpoint()
  return false
end

function redis.debug()
end

-- --- What all scripts have in common, and each for itself.

local tools = { charge = charge, fail = fail, about_argument = about_argument, protect = protect, host = host,
                tostring = base.tostring, tonumber = to_number, scan = scan,
                when_over = function(f) -- Called for what a script has changed.
                  undoing[#undoing + 1] = f
                  is_clean = false
                end }

local globals = {}
for name, value in raw_pairs(base) do
  globals[name] = value
end
globals.string, globals.table = protect(strings), protect(tables)
string_meta = protect({ __index = globals.string })
globals.math, globals.coroutine = protect(numbers), protect(co)
globals.redis = protect(redis)
for _, name in raw_ipairs({ "bit", "cjson", "cmsgpack", "struct" }) do
  local made = load_library(name, tools)
  if made then
    globals[name] = protect(made)
  end
end

raw_setmetatable(globals, { __index = function(_, name)
  if raw_type(name) ~= "string" then
    name = base.tostring(name)
  end
  fail("Script attempted to access nonexistent global variable '" .. name .. "'")
end })

raw_getmetatable("").__index = strings

-- While a library is loaded it sees this alone; then, when one of its functions runs, all.
local is_loading = false
local register -- Called for each function that a library registers.
local library_redis = { LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
                        REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
                        log = redis.log }

function library_redis.register_function(...)
  if not is_loading then
    return answered(true, 0,
      "ERR redis.register_function can only be called on FUNCTION LOAD command", ERROR)
  end
  register(...)
end

local function nonexistent(name)
  if raw_type(name) ~= "string" then
    name = base.tostring(name)
  end
  fail("Script attempted to access nonexistent global variable '" .. name .. "'")
end

local library_proxy = {}
raw_setmetatable(library_proxy, { __newindex = readonly, __metatable = false,
  __index = function(_, name)
    local found = library_redis[name]
    if found == nil then
      nonexistent(name)
    end
    return found
  end })
content[library_proxy] = library_redis

local library_globals = raw_setmetatable({ redis = library_proxy }, {
  __index = function(_, name)
    nonexistent(name)
  end })

-- What a script, and what a library, sees before all others. Never changed but for the values of
-- KEYS and ARGV, not even to nil: what is walked must not depend on what ran before.
local own = { KEYS = false, ARGV = false, _G = environment }
local library_own = { _G = environment }
local as_script, as_library = { __index = globals }, { __index = library_globals }
raw_setmetatable(own, as_script)

local guards = protect({ key = key, maybe_key = maybe_key, values = values,
                         operators = protect(operators) })
raw_rawset(globals, "_GUARDS_", guards)
raw_rawset(library_globals, "_GUARDS_", guards)

local seen = { __newindex = readonly, __metatable = false }
raw_setmetatable(environment, seen)

raw_setmetatable(content, WEAK)

-- --- For runtime.py.

local function place_of(problem, line)
  local level = 2
  while true do
    local info = raw_getinfo(level, "Sl")
    if not info then
      return problem
    elseif info.what ~= "C" and info.source ~= "=trimaran" and info.currentline > 0 then
      problem.source, problem.line = info.source, line or info.currentline
      return problem
    end
    level = level + 1
  end
end

local function handled(problem)
  if dead then
    return problem
  elseif raw_type(problem) ~= "table" then
    local line = problem == told and told_line or nil
    local found = place_of({ err = "ERR " .. base.tostring(problem) }, line)
    local text = raw_s.match(found.err, "^ERR trimaran:%d+: (C stack overflow)$")
    if text and found.source then -- In an operator of the script.
      found.err = "ERR " .. raw_s.sub(found.source, 2) .. ":" .. found.line .. ": " .. text
    end
    return found
  end
  return place_of(problem)
end

-- What a script gives back, as kinds and values in a list.
local INTEGER, TRUE, FALSE, STRING, OK, ERR, LIST, DOUBLE, MAP, SET, VERBATIM, BIG, DEEP, NOTHING =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
local MANY, FLAT, MANY_FLAT = 0, 15, 16 -- In a table; a list of values as they are, or in a table.
local DEPTH_MAX = 100

local function is_list(value)
  return raw_getmetatable(value) == nil and value.err == nil and value.ok == nil
    and value.double == nil and value.map == nil and value.set == nil
    and value.big_number == nil and value.verbatim_string == nil
end

local flatten

-- Of a table that says by the name of a field what it is; nil for any other.
local function flatten_fields(value, out, at, depth)
  local field = raw_rawget(value, "err")
  if raw_type(field) == "string" then
    out[at + 1], out[at + 2] = ERR, field
    return at + 2
  end
  field = raw_rawget(value, "ok")
  if raw_type(field) == "string" then
    out[at + 1], out[at + 2] = OK, field
    return at + 2
  end
  field = raw_rawget(value, "double")
  if raw_type(field) == "number" then
    out[at + 1], out[at + 2] = DOUBLE, raw_s.format("%.17g", field)
    return at + 2
  end
  field = raw_rawget(value, "map")
  if raw_type(field) == "table" then
    local count, here = 0, at
    out[at + 1], out[at + 2] = LIST, 0 -- In order, so that they are in the array of the table.
    at = at + 2
    for k, v in base.pairs(field) do
      at = flatten(v, out, flatten(k, out, at, depth + 1), depth + 1)
      count = count + 1
    end
    out[here + 1], out[here + 2] = MAP, count
    return at
  end
  field = raw_rawget(value, "set")
  if raw_type(field) == "table" then
    local count, here = 0, at
    out[at + 1], out[at + 2] = LIST, 0 -- In order, so that they are in the array of the table.
    at = at + 2
    for k in base.pairs(field) do
      at = flatten(k, out, at, depth + 1)
      count = count + 1
    end
    out[here + 1], out[here + 2] = SET, count
    return at
  end
  field = raw_rawget(value, "big_number")
  if raw_type(field) == "string" then
    out[at + 1], out[at + 2] = BIG, field
    return at + 2
  end
  field = raw_rawget(value, "verbatim_string")
  if raw_type(field) == "table" then
    local text, form = raw_rawget(field, "string"), raw_rawget(field, "format")
    if raw_type(text) == "string" and raw_type(form) == "string" then
      out[at + 1], out[at + 2] = VERBATIM, raw_s.sub(form .. "   ", 1, 3) .. text
      return at + 2
    end
  end
  return nil
end

function flatten(value, out, at, depth)
  local kind = raw_type(value)
  if kind == "string" then
    out[at + 1], out[at + 2] = STRING, value
    charge_bytes(#value)
  elseif kind == "number" then
    out[at + 1], out[at + 2] = INTEGER, value
  elseif kind == "boolean" then
    out[at + 1], out[at + 2] = value and TRUE or FALSE, 0
  elseif kind ~= "table" then
    out[at + 1], out[at + 2] = NOTHING, 0
  elseif depth > DEPTH_MAX then
    out[at + 1], out[at + 2] = DEEP, 0
  else
    local past = not is_list(value) and flatten_fields(value, out, at, depth)
    if past then
      return past
    end
    local count, here = 0, at
    out[at + 1], out[at + 2] = LIST, 0
    at = at + 2
    while true do
      local item = raw_rawget(value, count + 1)
      if item == nil then
        break
      end
      count = count + 1
      at = flatten(item, out, at, depth + 1)
    end
    out[here + 1], out[here + 2] = LIST, count
    return at
  end
  return at + 2
end

-- The same of a list of nothing but strings, numbers and booleans, into `out` as they are: how many
-- there are, or nil for any other table.
local function flat(value, out)
  if not is_list(value) then
    return nil
  end
  local count, size = 0, 0
  while true do
    local item = value[count + 1]
    local kind = raw_type(item)
    if kind == "string" then
      size = size + #item
    elseif kind ~= "number" and kind ~= "boolean" then
      if item ~= nil then
        return nil
      end
      charge_bytes(size)
      return count
    end
    count = count + 1
    out[count] = item
  end
end

local function answered_table(value, out)
  local count = flat(value, out)
  if count then
    return count, true
  end
  return flatten(value, out, 0, 0), false
end

local api = {}

-- Compile without running: an error text, or nil and the function that the script is with its
-- weight. Functions of Lua keep nothing from call to call, so that it serves every run.
function api.compile(text, name)
  if raw_s.byte(text, 1) == 27 then
    return raw_s.sub(name, 2) .. ":1: unexpected symbol near 'char(27)'"
  end
  local ok, problem = raw_loadstring(text, name)
  if not ok then
    return problem
  end
  local f, code = made(text, name)
  if not f then
    return code
  end
  return nil, f, host.weight(code)
end

local RUN_UNITS, LOOK_UNITS = 2000, 50000 -- What each run counts for, and after how many one looks.
local since = 0

local function look_for_garbage()
  since = 0
  if raw_collect("count") > COLLECT_KIB then
    raw_collect()
  end
end

local function clean()
  is_clean = true
  -- The hooks stand in a table of Lua's, by address: what is freed must not stay there.
  for place = #threads, 1, -1 do
    raw_sethook(threads[place])
    threads[place] = nil
  end
  for place = #undoing, 1, -1 do
    undoing[place]()
    undoing[place] = nil
  end
end

local FEW = 100 -- Values that are given back one by one.

local function failure(problem)
  if raw_type(problem) ~= "table" then -- There was no room left for the handler.
    return -2, problem
  end
  local err = raw_rawget(problem, "err")
  err = raw_type(err) == "string" and err or "ERR unknown error"
  return -1, err, raw_rawget(problem, "source"), raw_rawget(problem, "line")
end

-- Run a function that sees what `what` holds, all that it does counted, and give back its answer: a
-- string, a number or nil as it is, true for the status OK, and everything else as kinds and values.
-- Here alone the hook raises nothing: so it is taken away here, and what is called before that must
-- be protected.
function counted(f, of_chunk, budget, what)
  if seen.__index ~= what then
    seen.__index, content[environment] = what, what
  end
  spent, executed, limit, weight, dead = 0, 0, budget, of_chunk, nil
  raw_sethook(tick, "", TICK)
  local ok, value = raw_xpcall(f, handled)
  local kind, out, size, is_flat = raw_type(value), nil, nil, false
  if kind == "table" and ok then
    local text = raw_rawget(value, "ok")
    if text == "OK" and raw_rawget(value, "err") == nil then
      value = true
    else
      out = {}
      ok, size, is_flat = raw_pcall(answered_table, value, out)
    end
  elseif kind == "boolean" then
    out, size = { value and TRUE or FALSE, 0 }, 2
  end
  raw_sethook()
  own.KEYS, own.ARGV, scans, pattern_costs, told = false, false, nil, nil, nil
  if not is_clean then
    clean()
  end
  since = since + spent + RUN_UNITS
  if since > LOOK_UNITS then
    look_for_garbage()
  end
  if dead then
    return -2, dead
  elseif not ok then
    return failure(out and { err = "ERR " .. raw_tostring(size) } or value)
  elseif not out then
    if kind == "function" or kind == "thread" or kind == "userdata" then
      return nil
    end
    return value
  elseif size > FEW then
    return is_flat and MANY_FLAT or MANY, out
  elseif size == 0 then
    return LIST, 0
  elseif is_flat then
    return FLAT, raw_unpack(out, 1, size)
  end
  return raw_unpack(out, 1, size)
end

-- Run the script `f`, with its keys and arguments in tables,
function api.run(f, of_chunk, budget, keys, args)
  own.KEYS, own.ARGV = keys, args
  return counted(f, of_chunk, budget, own)
end

-- or a few of them one by one, the keys first,
function api.run_few(f, of_chunk, budget, count, ...)
  local words, keys = { ... }, {}
  for place = 1, count do
    keys[place] = words[place]
  end
  own.KEYS, own.ARGV = keys, count == 0 and words or { raw_select(count + 1, ...) }
  return counted(f, of_chunk, budget, own)
end

-- or so and with one key, as most have.
function api.run_one(f, of_chunk, budget, key, ...)
  own.KEYS, own.ARGV = { key }, { ... }
  return counted(f, of_chunk, budget, own)
end

-- --- Libraries of functions.

local NAME_RULE = "Library names can only contain letters, numbers, or underscores(_) and must be "
  .. "at least one character long"
local FLAGS = { ["no-writes"] = true, ["allow-oom"] = true, ["allow-stale"] = true,
                ["no-cluster"] = true, ["allow-cross-slot-keys"] = true }

local function refuse(text)
  raw_error({ err = "ERR " .. text }, 0)
end

local function flags_of(given)
  if raw_type(given) ~= "table" then
    refuse("flags argument to redis.register_function must be a table representing function flags")
  end
  local flags = {}
  for place = 1, #given do
    if raw_type(given[place]) ~= "string" or not FLAGS[given[place]] then
      refuse("unknown flag given")
    end
    flags[given[place]] = true
  end
  return flags
end

local function text_of(value, what)
  if raw_type(value) ~= "string" and raw_type(value) ~= "number" then
    refuse(what .. " must be a string")
  end
  return raw_tostring(value)
end

local function named_arguments(given)
  local name, callback, description, flags
  for k, v in base.pairs(given) do
    k = raw_type(k) == "string" and k or nil
    if k == "function_name" then
      name = text_of(v, "function_name argument given to redis.register_function")
    elseif k == "description" then
      description = text_of(v, "description argument given to redis.register_function")
    elseif k == "callback" then
      if raw_type(v) ~= "function" then
        refuse("callback argument given to redis.register_function must be a function")
      end
      callback = v
    elseif k == "flags" then
      flags = flags_of(v)
    else
      refuse("unknown argument given to redis.register_function")
    end
  end
  if not name then
    refuse("redis.register_function must get a function name argument")
  elseif not callback then
    refuse("redis.register_function must get a callback argument")
  end
  return name, callback, description, flags
end

-- What `register` does with what a library gives it; `found` takes the functions by their names.
local function registering(found)
  return function(...)
    local count = raw_select("#", ...)
    if count < 1 or count > 2 then
      refuse("wrong number of arguments to redis.register_function")
    end
    local name, callback, description, flags = ...
    if count == 1 then
      if raw_type(name) ~= "table" then
        refuse("calling redis.register_function with a single argument is only applicable to Lua "
          .. "table (representing named arguments).")
      end
      name, callback, description, flags = named_arguments(name)
    else
      name = text_of(name, "first argument to redis.register_function")
      description, flags = nil, nil
      if raw_type(callback) ~= "function" then
        refuse("second argument to redis.register_function must be a function")
      end
    end
    if name == "" or raw_s.find(name, "[^%w_]") then
      refuse(NAME_RULE)
    elseif found[name] then
      refuse("Function already exists in the library")
    end
    found[name] = { callback, description, flags or {} }
    found[#found + 1] = name
  end
end

local function load(f, found)
  is_loading, register = true, registering(found)
  f()
  is_loading, register = false, nil
end

local function loaded(...)
  is_loading, register = false, nil
  return ...
end

-- What a library registers: names, descriptions, and flags, in lists.
function api.load(f, of_chunk, budget)
  local found = {}
  raw_setmetatable(library_own, as_library)
  local kind, err, source, line = loaded(counted(function()
    load(f, found)
    return 0
  end, of_chunk, budget, library_own))
  if kind ~= 0 then
    return kind, err, source, line
  end
  local names, descriptions, flags = {}, {}, {}
  for place = 1, #found do
    local one = found[found[place]]
    names[place], descriptions[place] = found[place], one[2] or false
    local words = {}
    for _, flag in raw_ipairs({ "no-writes", "allow-oom", "allow-stale", "no-cluster",
                                "allow-cross-slot-keys" }) do
      if one[3][flag] then
        words[#words + 1] = flag
      end
    end
    flags[place] = raw_t.concat(words, " ")
  end
  return 0, names, descriptions, flags
end

-- Load a library and run one of its functions: nothing of a library lasts from call to call.
function api.call(f, of_chunk, budget, name, keys, args)
  local found = {}
  raw_setmetatable(library_own, as_library)
  return loaded(counted(function()
    load(f, found)
    raw_setmetatable(library_own, as_script)
    return kept(found[name][1](keys, args))
  end, of_chunk, budget, library_own))
end

function api.spent()
  return spent
end

function api.collect()
  raw_collect()
end

return api
