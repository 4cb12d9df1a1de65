-- Operators of a script on values that may be long strings; see expressions.py. They charge for what
-- C would do unseen, and else do what Lua does: same values, same metamethods, same errors. Of an
-- error only the names of the operands are not known here, so they are handed in where they have any;
-- so is the line, if it is not that of the call.
local tools = ...
local charge, fail, is_hidden = tools.charge, tools.fail, tools.is_hidden
local type, tonumber, tostring = type, tonumber, tostring
local getmetatable, rawget, rawequal = debug.getmetatable, rawget, rawequal
local find, byte, gmatch = string.find, string.byte, string.gmatch
local select = select

local FREE_BYTES = 64 -- Strings up to this long cost no more than the instructions around them.

local function method_of(value, event)
  local meta = getmetatable(value)
  return meta and rawget(meta, event)
end

-- That of the two which Lua calls, if any.
local function callable(method, line)
  local kind = type(method)
  if kind ~= "function" and not method_of(method, "__call") then
    fail("attempt to call a " .. kind .. " value", line)
  end
end

local function blame(doing, value, name, line)
  local kind = type(value)
  fail("attempt to " .. doing .. (name and name .. " (a " .. kind .. " value)" or "a " .. kind .. " value"),
    line)
end

-- --- Arithmetic.

local function number_of(value)
  local kind = type(value)
  if kind == "number" then
    return value
  elseif kind == "string" then
    if #value > FREE_BYTES then
      charge(#value / 2)
    end
    return tonumber(value)
  end
end

-- The operands as Lua's own operator may have them.
local function prepared(event, left, right, left_name, right_name, line)
  local a, b = number_of(left), number_of(right)
  if a and b then
    return a, b
  end
  local method = method_of(left, event)
  if method == nil then
    method = method_of(right, event)
  end
  if method == nil then
    if a then
      left, left_name = right, right_name
    end
    blame("perform arithmetic on ", left, left_name, line)
  end
  callable(method, line)
  return left, right
end

-- --- Comparisons.

local function method_for(left, right, event)
  local method = method_of(left, event)
  return method ~= nil and rawequal(method, method_of(right, event)) and method or nil
end

-- Two operands that are not both numbers, in the order in which Lua compares them.
local function check(event, left, right, line)
  local kind, other = type(left), type(right)
  if kind == "string" and other == "string" then
    local shorter = #left < #right and left or right
    local size = #shorter
    if size > FREE_BYTES then
      charge(size / 64)
      if find(shorter, "\0", 1, true) then -- C compares from one to the next.
        charge(size)
      end
    end
    return
  end
  local method
  if kind == other then
    method = method_for(left, right, event)
    if method == nil and event == "__le" then
      method = method_for(left, right, "__lt")
    end
  end
  if method == nil then
    if byte(kind, 3) == byte(other, 3) then -- As Lua looks at it.
      fail("attempt to compare two " .. kind .. " values", line)
    end
    fail("attempt to compare " .. kind .. " with " .. other, line)
  end
  callable(method, line)
end

-- --- Concatenation.

-- The operands of one that are not both strings or numbers; their length.
local function check_joined(left, right, left_name, right_name, line)
  local kind, other = type(left), type(right)
  local is_text, is_other_text = kind == "string" or kind == "number", other == "string" or other == "number"
  if is_text and is_other_text then
    return
  end
  local method = method_of(left, "__concat")
  if method == nil then
    method = method_of(right, "__concat")
  end
  if method == nil then
    if is_text then
      left, left_name = right, right_name
    end
    blame("concatenate ", left, left_name, line)
  end
  callable(method, line)
end

local operators = {}

function operators.cat(left, right, left_name, right_name, line)
  local kind, other = type(left), type(right)
  local size = (kind == "string" and #left or 20) + (other == "string" and #right or 20)
  if (kind ~= "string" and kind ~= "number") or (other ~= "string" and other ~= "number") then
    check_joined(left, right, left_name, right_name, line)
  elseif size > FREE_BYTES then
    charge(size / 8)
  end
  return left .. right
end
is_hidden[operators.cat] = true

-- Of several, from the right to the left; the names behind each other, each ending with a line.
function operators.cats(line, names, ...)
  local count, size = select("#", ...), 0
  local list = { ... }
  for place = 1, count do
    local kind = type(list[place])
    if kind == "string" then
      size = size + #list[place]
    elseif kind == "number" then
      size = size + 20
    else
      size = nil
      break
    end
  end
  if size then
    if size > FREE_BYTES then
      charge(size / 8)
    end
    return tools.joined(list)
  end
  local told, place = {}, 0
  if names then
    for name in gmatch(names, "([^\n]*)\n") do
      place = place + 1
      told[place] = name ~= "" and name or nil
    end
  end
  local result = list[count]
  for at = count - 1, 1, -1 do
    result = operators.cat(list[at], result, told[at], at == count - 1 and told[count] or nil, line)
  end
  return result
end
is_hidden[operators.cats] = true

-- What a numeric `for` counts by: Lua reads it as a number.
function operators.num(value)
  number_of(value)
  return value
end

local ARITHMETIC = { add = "+", sub = "-", mul = "*", div = "/", mod = "%", pow = "^" }
local COMPARISONS = { lt = { "<", "__lt", "left, right" }, le = { "<=", "__le", "left, right" },
                      gt = { ">", "__lt", "right, left" }, ge = { ">=", "__le", "right, left" } }

local function add(name, text, ...)
  operators[name] = tools.compile(text)(type, ...)
  is_hidden[operators[name]] = true
end

for name, sign in pairs(ARITHMETIC) do
  local slow = [[
    left, right = prepared("__]] .. name .. [[", left, right, left_name, right_name, line)
    return left ]] .. sign .. [[ right
  end]]
  local fast = [[ then
      return left ]] .. sign .. [[ right
    end]]
  local head = "local type, prepared = ... return function(left, right, left_name, right_name, line) if "
  -- Of any two; with a number on the right; with one on the left.
  add(name, head .. "type(left) == 'number' and type(right) == 'number'" .. fast .. slow, prepared)
  add(name .. "_n", head .. "type(left) == 'number'" .. fast .. slow, prepared)
  add("n_" .. name, head .. "type(right) == 'number'" .. fast .. slow, prepared)
end

for name, one in pairs(COMPARISONS) do
  local sign, event, order = one[1], one[2], one[3]
  add(name, [[
    local type, check = ...
    return function(left, right, _, _, line)
      if type(left) ~= 'number' or type(right) ~= 'number' then
        check("]] .. event .. [[", ]] .. order .. [[, line)
      end
      return left ]] .. sign .. [[ right
    end]], check)
end

add("unm", [[
  local type, prepared = ...
  return function(value, name, line)
    if type(value) ~= 'number' then
      value = prepared("__unm", value, value, name, name, line)
    end
    return -value
  end]], prepared)

-- `left op right` given the right one first: a variable on the left is read after that.
function operators.late(name, right, left, ...)
  return operators[name](left, right, ...)
end
is_hidden[operators.late] = true

-- Many in a row: `chain(a)("add", b)("sub", c)()`.
function operators.chain(value)
  local step
  step = function(name, ...)
    if not name then
      return value
    end
    value = operators[name](value, ...)
    return step
  end
  is_hidden[step] = true
  return step
end

return operators
